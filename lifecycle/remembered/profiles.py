"""What raw tables and figures looked like when they were published, remembered so that the next run can see drift.

Models are functions of what was loaded, the seeds and `as_of`; what was believed the last time is none of these. A run
that the gate held back is not remembered: what was wrong yesterday must not become what is usual. Appended is only what
differs from what is remembered; a figure that is gone is remembered as zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.remembered.log import replace_instant

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

_FORGET_THIS_INSTANT = "delete from raw_ops.profiles where as_of >= $as_of"

# digests that still say what was published; whatever was altered before an erasure stays remembered, and is judged
_LET_GO = """
    delete from raw_ops.profiles
    where (question, profile_date) in (
        select known.question, known.profile_date
        from (
            select question, profile_date, max_by(reading, as_of) as reading
            from raw_ops.profiles where measure in ('fingerprint', 'steady') group by question, profile_date
        ) as known
        inner join (
            select source_name, table_name, column_name, measure, profile_date, reading
            from intermediate.int_raw_days__profiled where measure in ('fingerprint', 'steady')
            union all
            select source_name, table_name, column_name, measure, profile_date, reading
            from intermediate.int_event_days__profiled where measure = 'fingerprint'
        ) as seen
            on known.question = concat_ws('/', seen.source_name, seen.table_name, seen.column_name, seen.measure, '')
            and known.profile_date = seen.profile_date and known.reading = seen.reading
    )
"""

_APPEND = """
    insert into raw_ops.profiles by name
    with known as (
        select question, profile_date, max_by(reading, as_of) as reading,
            any_value(source_name) as source_name, any_value(table_name) as table_name,
            any_value(column_name) as column_name, any_value(measure) as measure, any_value(category) as category
        from raw_ops.profiles group by question, profile_date
    ),
    seen as (
        select
            concat_ws('/', source_name, table_name, column_name, measure, coalesce(category, '')) as question,
            source_name, table_name, profile_date, column_name, measure, category, reading
        from (
            select source_name, table_name, profile_date, column_name, measure, category, reading
            from intermediate.int_raw_days__profiled
            union all
            select source_name, table_name, profile_date, column_name, measure, category, reading
            from intermediate.int_event_days__profiled
        )
        where measure <> 'future'
        union all
        select
            concat_ws('/', 'metrics', metric, category, part) as question, 'metrics', metric, date '1970-01-01',
            category, part, null, figure_shown
        from (
            select metric, category, unnest(['figure', 'low', 'high']) as part,
                unnest([figure, figure_low, figure_high]) as figure_shown
            from intermediate.int_metrics__scored
        )
        where figure_shown is not null
        union all
        select
            concat_ws('/', 'columns', substr(schema_name, 5), table_name, column_name, data_type), 'columns',
            table_name, date '1970-01-01', column_name, 'column', data_type, 1
        from duckdb_columns()
        where database_name = current_database() and starts_with(schema_name, 'raw_')
            and not ends_with(schema_name, '_staging') and schema_name <> 'raw_ops'
            and not starts_with(table_name, '_dlt') and not starts_with(column_name, '_dlt')
    )
    select
        coalesce(seen.question, known.question) as question,
        coalesce(seen.source_name, known.source_name) as source_name,
        coalesce(seen.table_name, known.table_name) as table_name,
        coalesce(seen.profile_date, known.profile_date) as profile_date,
        coalesce(seen.column_name, known.column_name) as column_name,
        coalesce(seen.measure, known.measure) as measure,
        coalesce(seen.category, known.category) as category,
        coalesce(seen.reading, 0) as reading,
        cast($as_of as timestamp) as as_of,
        $run_id as run_id,
        $run_id as _dlt_load_id
    from seen full outer join known
        on seen.question = known.question and seen.profile_date = known.profile_date
    where coalesce(seen.reading, 0) is distinct from coalesce(known.reading, case when seen.question is null then 0 end)
"""


def let_go(connection: duckdb.DuckDBPyConnection) -> int:
    """Forget the digests of closed days before somebody is erased from them; how many rows that were.

    An erasure alters columns that never change otherwise, on every day that the person did something. What is not
    remembered is not compared, and the publication after the erasure remembers it anew. To be called while the last
    build is of the raw tables as they are.
    """
    built = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = 'intermediate'"
        " and table_name in ('int_raw_days__profiled', 'int_event_days__profiled')"
    ).fetchall()[0][0]
    if built < 2:
        return 0
    row = connection.execute(_LET_GO).fetchone()
    return int(row[0]) if row else 0


def remember(connection: duckdb.DuckDBPyConnection, run_id: str, as_of: datetime) -> int:
    """Append what this publication shows otherwise than the ones before; how many figures that are.

    `connection` is the warehouse's, after the build that was published. Publishing the same instant again replaces what
    was remembered of it. Either all of it is remembered or none.
    """
    return replace_instant(connection, _FORGET_THIS_INSTANT, _APPEND, run_id=run_id, as_of=as_of)

"""What was published of closed months, remembered so that the next run can say what it restates.

Models are functions of what was loaded, the seeds and `as_of`; what readers saw last time is none of these. After a
publication every closed customer month whose value is not the remembered one is appended, with the cause that
`mrr_restatements` found for it, and so is what the publication rested on: versions, exchange rates, and which customer
each billing customer was. The mart compares the next build with that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

# a figure that was never published and one that is gone both count as zero; a zero that stays zero is no news
_APPEND_FIGURES = """
    insert into raw_ops.mrr_figures by name
    with known as (
        select customer_id, month, max(revision) as revision, max_by(closing_cents, revision) as closing_cents
        from raw_ops.mrr_figures group by customer_id, month
    ),
    published as (
        select customer_id, month, cast(closing_mrr * 100 as bigint) as closing_cents
        from marts.mrr_movements where not is_open_month
    ),
    compared as (
        select
            coalesce(published.customer_id, known.customer_id) as customer_id,
            coalesce(published.month, known.month) as month,
            coalesce(known.revision, 0) + 1 as revision,
            coalesce(published.closing_cents, 0) as closing_cents
        from published full outer join known
            on published.customer_id = known.customer_id and published.month = known.month
        where coalesce(published.month, known.month) <= (select max(month) from published)
            and coalesce(published.closing_cents, 0) is distinct from
                coalesce(known.closing_cents, case when published.customer_id is null then 0 end)
    )
    select
        compared.customer_id || ':' || compared.month || ':' || compared.revision as figure_id,
        $run_id as run_id,
        compared.customer_id,
        compared.month,
        compared.revision,
        compared.closing_cents,
        cast(restated.old_mrr * 100 as bigint) as previous_cents,
        restated.first_published_run_id as previous_run_id,
        restated.cause,
        restated.causes,
        restated.evidence,
        cast($published_at as timestamp) as published_at,
        $run_id as _dlt_load_id
    from compared
    left join marts.mrr_restatements as restated
        on compared.customer_id = restated.customer_id and compared.month = restated.month
        and compared.revision = restated.revision and restated.published_at is null
"""

_RECORD_PUBLICATION = """
    insert into raw_ops.mrr_publications by name
    select
        $run_id as run_id,
        cast($as_of as timestamp) as as_of,
        cast($published_at as timestamp) as published_at,
        max(month) as closed_through,
        max(definition_version) as definition_version,
        max(fx_version) as fx_version,
        (select max(project_version) from raw_ops.runs where run_id = $run_id) as project_version,
        (
            select max(_dlt_load_id) from (
                select _dlt_load_id from raw_stripe.invoices
                union all select _dlt_load_id from raw_stripe.subscriptions
                union all select _dlt_load_id from raw_stripe.events
            )
        ) as last_load_id,
        $run_id as _dlt_load_id
    from marts.mrr_movements where not is_open_month
    having max(month) is not null
"""

_RECORD_GROUNDS = """
    insert into raw_ops.mrr_grounds by name
    select
        'owner:' || source_record_id as ground_id, $run_id as run_id, 'owner' as kind, source_record_id as subject,
        cast(null as date) as month, customer_id as value, $run_id as _dlt_load_id
    from intermediate.int_identities__resolved where source_system = 'stripe' and source_record_type = 'customer'
    union all
    select
        'rate:' || currency || ':' || month, $run_id, 'rate', currency, month, cast(closing_rate as varchar), $run_id
    from intermediate.int_fx_rates__applied
"""


def remember(connection: duckdb.DuckDBPyConnection, run_id: str, as_of: datetime, published_at: datetime) -> int:
    """Append what this publication changed of closed months; how many customer months that are.

    `connection` is the warehouse's, after the build that was published. Calling it again for the same publication
    changes nothing. Either all of it is remembered or none.
    """
    moment = {"run_id": run_id, "published_at": published_at}
    connection.execute("begin transaction")
    try:
        before = _count(connection)
        connection.execute(_APPEND_FIGURES, moment)
        connection.execute("delete from raw_ops.mrr_publications where run_id = ?", [run_id])
        connection.execute(_RECORD_PUBLICATION, {**moment, "as_of": as_of})
        connection.execute("delete from raw_ops.mrr_grounds")
        connection.execute(_RECORD_GROUNDS, {"run_id": run_id})
        after = _count(connection)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return after - before


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("select count(*) from raw_ops.mrr_figures").fetchone()
    return int(row[0]) if row else 0

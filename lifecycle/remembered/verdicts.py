"""What was decided about each validated period, remembered: mending a number does not mend the days it was wrong.

Models are functions of what was loaded, the seeds and `as_of`; whether ours and theirs agreed when a period was due is
none of these. Before a version is shown, the verdicts it is the first to give are appended to
`raw_ops.validation_verdicts`; the mart `validation_verdicts` counts its streaks by them. Of a closed period that moved
afterwards one more line says so, with the figures that were found then; its verdict stays.

The record is a function of what was published at which instant: showing another version of the same instant replaces
what was noted for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.remembered.log import replace_instant

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

_FORGET_THIS_INSTANT = "delete from raw_ops.validation_verdicts where known_at >= $as_of"

_APPEND = """
    with fresh as (
        select
            metric, grain, period, revision, status, ours, theirs, explained, unexplained, tolerance, is_within,
            fingerprint
        from marts.validation_verdicts where judged_at >= $as_of
        union all by name
        select
            verdicts.metric, verdicts.grain, verdicts.period, verdicts.revision + 1 as revision, 'restated' as status,
            reconciled.ours, reconciled.theirs, reconciled.difference - reconciled.unexplained as explained,
            reconciled.unexplained, reconciled.tolerance, verdicts.is_within, verdicts.fingerprint
        from marts.validation_verdicts as verdicts
        inner join marts.reconciliation as reconciled
            on verdicts.metric = reconciled.metric and verdicts.grain = reconciled.grain
            and verdicts.period = reconciled.period
        where verdicts.restated_at >= $as_of
    )
    insert into raw_ops.validation_verdicts by name
    select
        metric || ':' || grain || ':' || period || ':' || revision as verdict_id,
        metric, grain, period, revision, status,
        cast(ours as varchar) as ours,
        cast(theirs as varchar) as theirs,
        cast(explained as varchar) as explained,
        cast(unexplained as varchar) as unexplained,
        cast(tolerance as varchar) as tolerance,
        is_within, fingerprint,
        cast($as_of as timestamp) as known_at,
        $run_id as run_id,
        $run_id as _dlt_load_id
    from fresh
"""


def remember(connection: duckdb.DuckDBPyConnection, run_id: str, as_of: datetime) -> int:
    """Note what the built models decide at this instant; how many verdicts that are.

    `connection` is the warehouse's, after the build that is published. Calling it again for the same instant changes
    nothing.
    """
    return replace_instant(connection, _FORGET_THIS_INSTANT, _APPEND, run_id=run_id, as_of=as_of)

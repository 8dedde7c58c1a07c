"""What was published of every customer's states, remembered so that "what did we know when we acted" has an answer.

Models are functions of what was loaded, the seeds and `as_of`; what readers were shown last time is none of these. With
every publication each entry into a state that was not known before is appended to `raw_ops.state_log`, and so is each
known one that the history does not have any more: late facts fold a life anew from their moment on, an edited machine
or a merge of two customers does so altogether. The mart `lifecycle_state_versions` tells both times from it: since when
something holds, and from when to when we said so. Nothing is sent again for it: the ledger's keys do not change.

The log is a function of what was published at which instant: showing another version of the same instant replaces
what was noted for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.remembered.log import replace_instant

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

_FORGET_THIS_INSTANT = "delete from raw_ops.state_log where known_at >= $as_of"

_KEY = "customer_id, region, state, valid_from, occurrence_id"
# an entry is known if the last thing that the log says about it is not that it was withdrawn
_APPEND = f"""
    insert into raw_ops.state_log by name
    with known as (
        select {_KEY} from raw_ops.state_log
        qualify row_number() over (partition by {_KEY} order by known_at desc) = 1 and not is_withdrawn
    ),
    told as (
        select customer_id, region, state, valid_from, coalesce(occurrence_id, '') as occurrence_id
        from intermediate.int_lifecycle__dated
    ),
    changed as (
        select told.*, false as is_withdrawn from told anti join known using ({_KEY})
        union all
        select known.*, true as is_withdrawn from known anti join told using ({_KEY})
    )
    select changed.*, cast($as_of as timestamp) as known_at, $run_id as run_id, $run_id as _dlt_load_id
    from changed
"""


def remember(connection: duckdb.DuckDBPyConnection, run_id: str, as_of: datetime) -> int:
    """Note what the built models show; how many entries into states are new, or are there no more.

    `connection` is the warehouse's, after the build that is published. Calling it again for the same instant changes
    nothing.
    """
    return replace_instant(connection, _FORGET_THIS_INSTANT, _APPEND, run_id=run_id, as_of=as_of)

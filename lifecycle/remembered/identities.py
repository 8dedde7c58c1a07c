"""Which customer and person every record was published under, remembered so that an id once shown resolves for ever.

Models are functions of what was loaded, the seeds and `as_of`; which ids readers were given is none of these. Before a
version is shown, every record whose customer or person is not the remembered one is appended to `raw_ops.identity_log`;
so is every record that a silo no longer has, under the customer that its heir belongs to now. The models settle names
by it (`int_identities__remembered`) and say what became of an old id (`customer_aliases`).

The log is a function of what was published at which instant: showing another version of the same instant replaces
what was noted for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle.remembered.log import replace_instant

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

_FORGET_THIS_INSTANT = "delete from raw_ops.identity_log where known_at >= $as_of"

_APPEND = """
    insert into raw_ops.identity_log by name
    with known as (
        select
            record_key,
            max_by(customer_id, known_at) as customer_id,
            max_by(person_id, known_at) as person_id
        from raw_ops.identity_log group by record_key
    ),
    shown as (
        select record_key, customer_id, person_id, first_seen_at from intermediate.int_identities__resolved
        union all
        select
            gone.record_key,
            coalesce(customers.customer_id, gone.customer_id) as customer_id,
            coalesce(persons.person_id, gone.person_id) as person_id,
            gone.first_seen_at
        from intermediate.int_identities__remembered as gone
        left join intermediate.int_identities__resolved as customers on gone.customer_heir = customers.record_key
        left join intermediate.int_identities__resolved as persons on gone.person_heir = persons.record_key
        where not gone.is_present
    )
    select
        shown.record_key,
        shown.customer_id,
        shown.person_id,
        shown.first_seen_at,
        cast($as_of as timestamp) as known_at,
        $run_id as run_id,
        $run_id as _dlt_load_id
    from shown left join known using (record_key)
    where (shown.customer_id, shown.person_id) is distinct from (known.customer_id, known.person_id)
"""


def remember(connection: duckdb.DuckDBPyConnection, run_id: str, as_of: datetime) -> int:
    """Note what the built models would show; how many records have another customer or person than last time.

    To be called before the version is shown: an id that somebody saw must have been noted, one that nobody saw does no
    harm.
    """
    return replace_instant(connection, _FORGET_THIS_INSTANT, _APPEND, run_id=run_id, as_of=as_of)

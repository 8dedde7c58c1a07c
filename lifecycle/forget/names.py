"""A customer keeps its id when the person after whose record it was named is forgotten.

Ids are made of records' keys, and forgetting replaces keys by surrogates. The customer is not the person: under another
id its other people would be written to again, and whoever was told the old one would find nobody. So the id that such a
record gave is noted under the record's surrogate, and the models read it from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

# the records after which the last build names customers, and those after which one was named when it was published
_NAMERS = """
    select record_key, given_customer_id from intermediate.int_identities__resolved
    where customer_id = given_customer_id
    union
    select record_key, given_customer_id from intermediate.int_identities__remembered
    where customer_since is not null
    order by all
"""


def keep(connection: duckdb.DuckDBPyConnection, replaced: Callable[[str], str]) -> int:
    """Note the ids that records gave whose keys are about to be replaced; how many. Again changes nothing.

    To be called before the keys are replaced: afterwards nobody can tell which id they made. A warehouse in which
    nothing is built was written anew by an erasure that came further than that.
    """
    built: list[tuple[int]] = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = 'intermediate'"
        " and table_name in ('int_identities__resolved', 'int_identities__remembered')"
    ).fetchall()
    if built != [(2,)]:
        return 0
    namers: list[tuple[str, str]] = connection.execute(_NAMERS).fetchall()
    noted = 0
    for record_key, customer_id in namers:
        surrogate = replaced(record_key)
        if surrogate != record_key:
            connection.execute(
                "insert into raw_ops.forgotten_names by name"
                " select $key as record_key, $customer as customer_id, $key as _dlt_load_id"
                " where $key not in (select record_key from raw_ops.forgotten_names)",
                {"key": surrogate, "customer": customer_id},
            )
            noted += 1
    return noted

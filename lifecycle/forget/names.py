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

# who names a customer by the last build, and who did when something was published; as macros/identity.sql makes ids
_GIVEN = "'c_' || substr(md5(record_key), 1, 16)"
_RESOLVED = "select record_key, customer_id from intermediate.int_identities__resolved"
_LOGGED = "select record_key, customer_id from raw_ops.identity_log"


def keep(connection: duckdb.DuckDBPyConnection, replaced: Callable[[str], str]) -> int:
    """Note the ids that records gave whose keys are about to be replaced; how many. Again changes nothing.

    To be called before the keys are replaced: afterwards nobody can tell which id they made.
    """
    is_built = connection.execute(
        "select count(*) from duckdb_tables()"
        " where schema_name = 'intermediate' and table_name = 'int_identities__resolved'"
    ).fetchall()[0][0]
    known = f"{_LOGGED} union {_RESOLVED}" if is_built else _LOGGED
    namers: list[tuple[str, str]] = connection.execute(
        f"select distinct record_key, customer_id from ({known}) as known where customer_id = {_GIVEN} order by all"
    ).fetchall()
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

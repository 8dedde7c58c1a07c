"""A customer keeps its id when the person after whose record it was named is forgotten.

Ids are made of records' keys, and forgetting replaces keys by surrogates. The customer is not the person: under another
id its other people would be written to again, and whoever was told the old one would find nobody. So the id that such a
record gave is noted under the record's surrogate, beside the marks that keep the person out (`ingest/forgotten.py`).
From there it comes into every warehouse, also one in which everything is read anew, and the models read it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest import forgotten, ops

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def keep(connection: duckdb.DuckDBPyConnection, data_dir: Path, replaced: Callable[[str], str]) -> int:
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
    surrogates = [(replaced(record_key), record_key, customer_id) for record_key, customer_id in namers]
    given = {surrogate: customer_id for surrogate, record_key, customer_id in surrogates if surrogate != record_key}
    if given:
        forgotten.remember_names(data_dir, given)
    return len(given)


def bring(connection: duckdb.DuckDBPyConnection, data_dir: Path) -> None:
    """Put what is noted into the warehouse, where the models read it; to be called before every build."""
    known = forgotten.remembered_names(data_dir)
    rows = [{"record_key": key, "customer_id": customer_id} for key, customer_id in known.items()]
    ops.record(connection, "forgotten_names", rows)

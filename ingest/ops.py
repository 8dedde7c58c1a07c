"""Writing what the run itself knows (`raw_ops`): by primary key, in one transaction, the same rows twice are one.

This is the run's own notebook, not a source: a few rows per run, written with the connection that is open anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from ingest import contracts


def record(
    connection: duckdb.DuckDBPyConnection,
    table_name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    keep_first: bool = False,
) -> None:
    """Insert rows into `raw_ops.<table_name>`, replacing rows of the same key, or keeping those with `keep_first`.

    Raises:
        KeyError: if there is no such table, or a row lacks the key.
        ValueError: if a row has a column the contract does not name.
    """
    table = contracts.load("ops")[table_name]
    key = table.primary_key
    if key is None:
        raise ValueError(f"raw_ops.{table_name} has no primary key.")
    for row in rows:
        unknown = sorted(set(row) - set(table.columns))
        if unknown:
            raise ValueError(f"raw_ops.{table_name} has no column {unknown[0]}.")
    if not rows:
        return
    columns = list(table.columns)
    placeholders = ", ".join("?" for _ in columns)
    target = f'{table.dataset}."{table.name}"'
    run_id = str(rows[0].get("run_id", ""))
    connection.execute("begin transaction")
    try:
        keys = [row[key] for row in rows]
        if keep_first:
            known = {
                value
                for (value,) in connection.execute(
                    f'select "{key}" from {target} where "{key}" in (select unnest(?))', [keys]
                ).fetchall()
            }
            rows = [row for row in rows if row[key] not in known]
        else:
            connection.execute(f'delete from {target} where "{key}" in (select unnest(?))', [keys])
        if rows:
            names = ", ".join(f'"{column}"' for column in columns)
            connection.executemany(
                f"insert into {target} ({names}, _dlt_load_id) values ({placeholders}, ?)",
                [[*(row.get(column) for column in columns), run_id] for row in rows],
            )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise

"""Empty raw tables for silos that never answered, so that every model has something to read."""

from __future__ import annotations

import duckdb

from ingest import contracts


def create_missing(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Create every raw table of every contract that does not exist yet; gives back their names.

    Columns that a contract gained since a table was created are added as well.
    """
    created, statements = [], []
    existing = _columns(connection)
    for table in (table for source in contracts.known_sources() for table in contracts.load(source).values()):
        found = existing.get((table.dataset, table.name))
        if found is None:
            statements += [f"create schema if not exists {table.dataset}", table.create_statement()]
            created.append(f"{table.dataset}.{table.name}")
            continue
        for column, kind in table.columns.items():
            if column not in found:
                added = f'add column "{column}" {contracts.DUCKDB_TYPES[kind]}'
                statements.append(f'alter table {table.dataset}."{table.name}" {added}')
    if statements:
        # in one transaction: a file is forty times written to disk otherwise
        connection.execute("; ".join(["begin", *statements, "commit"]))
    return created


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    rows = connection.execute("select schema_name, table_name, column_name from duckdb_columns() where not internal")
    for schema, table, column in rows.fetchall():
        found.setdefault((schema, table), set()).add(column)
    return found

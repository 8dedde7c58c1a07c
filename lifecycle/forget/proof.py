"""Proof that nobody is left: the bytes of uncompressed copies, and of every other file, searched for what named them.

A search in a compressed file proves nothing. So every table is copied into a file without compression, and a name that
must be there is searched for as well: a search that does not find that one has not looked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from lifecycle.errors import LifecycleError
from lifecycle.forget.shred import mentions, shred

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class RemainsError(LifecycleError):
    """Something of the person is still there; the message says where, not what."""


@dataclass(slots=True)
class Proof:
    """What was searched: kinds of copies and files with their bytes, and for how many texts."""

    tokens: int
    searched: dict[str, int] = field(default_factory=dict)

    def count(self, kind: str, size: int) -> None:
        """Note that so many bytes of a kind were searched."""
        self.searched[kind] = self.searched.get(kind, 0) + size


def prove(
    databases: Sequence[Path], parquets: Sequence[Path], files: Sequence[Path], tokens: Sequence[str], scratch: Path
) -> Proof:
    """Search DuckDB files, Parquet files and any other files for the tokens (lower case); what was searched.

    `scratch` is a directory for the copies; they are overwritten afterwards.

    Raises:
        RemainsError: if a token is found, or the search does not find what must be there.
    """
    proof = Proof(len(tokens))
    copy = scratch / "uncompressed.duckdb"
    for path in databases:
        _copied(path, copy)
        _search(path, copy, tokens, proof, "DuckDB, uncompressed")
    if parquets:
        _flattened(parquets, copy)
        _search(parquets[0].parent, copy, tokens, proof, "Parquet, uncompressed")
    for path in files:
        if mentions(path, tokens):
            raise RemainsError(f"The file {path} still names the person.")
        proof.count("other files", path.stat().st_size)
    return proof


def _search(origin: Path, copy: Path, tokens: Sequence[str], proof: Proof, kind: str) -> None:
    try:
        if mentions(copy, tokens):
            raise RemainsError(f"{origin} still names the person.")
        if not mentions(copy, [CONTROL]):
            raise RemainsError(f"The search of {origin} found nothing at all, so it proves nothing.")
        proof.count(kind, copy.stat().st_size)
    finally:
        shred(copy)


CONTROL = "control.7d1f0a@search.invalid"


def _open_copy(copy: Path) -> duckdb.DuckDBPyConnection:
    copy.unlink(missing_ok=True)
    connection = duckdb.connect()
    connection.execute("set force_compression = 'uncompressed'")
    connection.execute(f"attach '{_quoted(copy)}' as flat")
    # one row among thousands, stored as every other text is
    connection.execute(
        "create table flat.main.control as"
        f" select case when range = 7777 then '{CONTROL}' else 'row ' || range end as text from range(20000)"
    )
    return connection


def _copied(path: Path, copy: Path) -> None:
    with _open_copy(copy) as connection:
        connection.execute(f"attach '{_quoted(path)}' as origin (read_only)")
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'origin' order by all"
        ).fetchall():
            connection.execute(f'create schema if not exists flat."{schema}"')
            connection.execute(f'create table flat."{schema}"."{table}" as from origin."{schema}"."{table}"')
        connection.execute("checkpoint flat")


def _flattened(parquets: Sequence[Path], copy: Path) -> None:
    with _open_copy(copy) as connection:
        for number, path in enumerate(parquets):
            connection.execute(f"create table flat.main.file_{number} as from read_parquet('{_quoted(path)}')")
        connection.execute("checkpoint flat")


def _quoted(value: object) -> str:
    return str(value).replace("'", "''")

"""Proof that nobody is left: the bytes of uncompressed copies, and of every other file, searched for what named them.

A search in a compressed file proves nothing. So every table is copied into a file without compression, and a name that
must be there is searched for as well: a search that does not find that one has not looked.

Bytes have no beginnings and ends: ann@firm.example is found in joann@firm.example. So where bytes are found, the rows
decide whether they are a word of their own; what is a part of somebody else's is no trace of the person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from lifecycle.errors import LifecycleError
from lifecycle.forget import words
from lifecycle.forget.shred import mentions, shred

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class RemainsError(LifecycleError):
    """Something of the person is still there; the message says where, not what."""


@dataclass(slots=True)
class Proof:
    """What was searched: kinds of copies and files with their bytes, and for how many texts.

    `parts_of_others` counts the texts that were found within longer ones, which are somebody else's.
    """

    tokens: int
    searched: dict[str, int] = field(default_factory=dict)
    parts_of_others: int = 0

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
    parts: set[str] = set()
    for path in databases:
        _copied(path, copy)
        parts |= _search(path, copy, tokens, proof, "DuckDB, uncompressed")
    if parquets:
        _flattened(parquets, copy)
        parts |= _search(parquets[0].parent, copy, tokens, proof, "Parquet, uncompressed")
    proof.parts_of_others = len(parts)
    rest = [token for token in tokens if token not in parts]
    for path in files:
        if mentions(path, rest):
            raise RemainsError(f"The file {path} still names the person.")
        proof.count("other files", path.stat().st_size)
    return proof


def _search(origin: Path, copy: Path, tokens: Sequence[str], proof: Proof, kind: str) -> set[str]:
    """Search one copy; the tokens that it has within longer words only."""
    try:
        parts = _within_others(origin, copy, tokens) if mentions(copy, tokens) else set()
        if not mentions(copy, [CONTROL]):
            raise RemainsError(f"The search of {origin} found nothing at all, so it proves nothing.")
        proof.count(kind, copy.stat().st_size)
        return parts
    finally:
        shred(copy)


def _within_others(origin: Path, copy: Path, tokens: Sequence[str]) -> set[str]:
    """The tokens of which the rows of a copy have parts of longer words.

    Raises:
        RemainsError: if one is a word of its own, or stands in no row and so cannot be explained.
    """
    theirs = words.pattern(tokens)
    parts: set[str] = set()
    with duckdb.connect(str(copy), read_only=True) as connection:
        connection.execute("create temp table wanted as select unnest($1) as token", [list(tokens)])
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where not temporary order by all"
        ).fetchall():
            name = f'"{schema}"."{table}"'
            columns = connection.execute(f"select name from pragma_table_info('{_quoted(name)}')").fetchall()
            whole = ", ".join(f'cast("{column}" as varchar)' for (column,) in columns)
            rows = connection.execute(
                f"select token, text from (select lower(concat_ws(chr(10), {whole})) as text from {name}) as rows_"
                " inner join wanted on contains(text, token)"
            )
            while found := rows.fetchmany(1000):
                if theirs is not None and any(theirs.search(text) for _, text in found):
                    raise RemainsError(f"{origin} still names the person, in {schema}.{table}.")
                parts.update(token for token, _ in found)
    if not parts or mentions(copy, [token for token in tokens if token not in parts]):
        raise RemainsError(f"{origin} still names the person.")
    return parts


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

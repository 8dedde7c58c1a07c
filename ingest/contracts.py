"""The contracts of the raw tables: which columns exist, of which type, and by which key rows are replaced.

`contracts/<source>.yml` names every column before the first row arrives, because a column that is null in every row
would otherwise not exist and the models over it would break. Columns may be added by a vendor (they arrive as text),
a type never changes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CONTRACTS_DIR = Path(__file__).parent / "contracts"

# `columns: evolve` keeps a vendor's new field instead of failing on it; `data_type: freeze` refuses a value of another
# type, because the alternative is a null in the column and a second column beside it that no model reads.
SCHEMA_CONTRACT = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}

DUCKDB_TYPES: Mapping[str, str] = {
    "text": "varchar",
    "bigint": "bigint",
    "double": "double",
    "bool": "boolean",
    "timestamp": "timestamp",
    "date": "date",
    "json": "json",
}


@dataclass(frozen=True, slots=True)
class TableContract:
    """One raw table.

    `primary_key` tables replace rows by that column; `merge_key` tables replace every row that shares a value of that
    column (a partition). `write_disposition` is `merge`, or `replace` where the vendor has no smaller unit of change.
    `latest_by` says which of several versions of a row within one load is the newest. `vanished_flag` is a boolean
    column: a row that carries true tells the load to delete the row of that key.
    """

    source: str
    dataset: str
    name: str
    columns: Mapping[str, str]
    primary_key: str | None = None
    merge_key: str | None = None
    write_disposition: str = "merge"
    latest_by: str | None = None
    vanished_flag: str | None = None

    def __post_init__(self) -> None:
        for column, kind in self.columns.items():
            if kind not in DUCKDB_TYPES:
                raise ValueError(f"{self.dataset}.{self.name}.{column} has the unknown type {kind}.")
        for role in ("primary_key", "merge_key", "latest_by", "vanished_flag"):
            column = getattr(self, role)
            if column is not None and column not in self.columns:
                raise ValueError(f"{self.dataset}.{self.name} names {column} as its {role}, but has no such column.")

    @property
    def key(self) -> str | None:
        """The column whose value decides which rows a load replaces."""
        return self.primary_key or self.merge_key

    def hints(self) -> dict[str, Any]:
        """Arguments for `dlt.resource`: name, keys, explicit columns and the schema contract."""
        columns: dict[str, dict[str, Any]] = {}
        for column, kind in self.columns.items():
            hint: dict[str, Any] = {"name": column, "data_type": kind, "nullable": column != self.key}
            if kind == "timestamp":
                hint["timezone"] = False
            if column == self.latest_by:
                hint["dedup_sort"] = "desc"
            if column == self.vanished_flag:
                hint["hard_delete"] = True
            columns[column] = hint
        keys = {
            name: value for name, value in (("primary_key", self.primary_key), ("merge_key", self.merge_key)) if value
        }
        return {
            "name": self.name,
            "write_disposition": self.write_disposition,
            "columns": columns,
            "schema_contract": SCHEMA_CONTRACT,
            "max_table_nesting": 0,
            **keys,
        }

    def create_statement(self) -> str:
        """SQL that creates the empty table exactly as a first load would have left it."""
        columns = [
            f'"{column}" {DUCKDB_TYPES[kind]}{" not null" if column == self.key else ""}'
            for column, kind in self.columns.items()
        ]
        columns.append("_dlt_load_id varchar not null")
        return f'create table if not exists {self.dataset}."{self.name}" ({", ".join(columns)})'


@functools.cache
def load(source: str) -> Mapping[str, TableContract]:
    """The contracts of one source by table name.

    Raises:
        FileNotFoundError: if there is no contract file of that name.
        ValueError: if the file names an unknown type, or a key that is no column.
    """
    document = yaml.safe_load((CONTRACTS_DIR / f"{source}.yml").read_text(encoding="utf-8"))
    return {
        name: TableContract(source=source, dataset=document["dataset"], name=name, **table)
        for name, table in document["tables"].items()
    }


def known_sources() -> list[str]:
    """Every source that has a contract, in alphabetical order; `ops` is what the run itself writes."""
    return sorted(path.stem for path in CONTRACTS_DIR.glob("*.yml"))

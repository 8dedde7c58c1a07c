"""What the reading of one source shares between its tables: when, from which contracts, counted how."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest import contracts
from ingest.contracts import TableContract
from ingest.forgotten import Forgotten
from ingest.guards import SMALLEST_SHARE
from ingest.quarantine import Quarantine
from ingest.typed import TypedTable


@dataclass(slots=True)
class Extraction:
    """One reading of one source.

    `as_of` is the run's instant (UTC, naive); the source is read as far as it goes and no cursor passes it.
    `known` is the source's state after the last load that succeeded (cursors, files); it is read here and written
    through `dlt.current.source_state()`. `held_rows` is what the warehouse holds so far, by table.
    """

    source: str
    as_of: dt.datetime
    data_dir: Path
    say: Callable[[str], None] = lambda _sentence: None
    smallest_share: float = SMALLEST_SHARE
    known: Mapping[str, Any] = field(default_factory=dict)
    held_rows: Mapping[str, int] = field(default_factory=dict)
    # the primary keys that a table holds; opens the warehouse, so only for tables that have to be compared id by id
    held_keys: Callable[[str], set[Any]] = lambda _table: set()
    tables: dict[str, TypedTable] = field(default_factory=dict)
    vendor_totals: dict[str, int] = field(default_factory=dict)
    quarantine: Quarantine = field(init=False)
    forgotten: Forgotten = field(init=False)
    # newest instant (UTC, naive) up to which this source is complete; None: nothing is known
    data_through_at: dt.datetime | None = None

    def __post_init__(self) -> None:
        self.forgotten = Forgotten.load(self.data_dir)
        self.quarantine = Quarantine(self.source, self.forgotten)

    @property
    def contracts(self) -> Mapping[str, TableContract]:
        """The source's contracts by table."""
        return contracts.load(self.source)

    @property
    def as_of_unix(self) -> float:
        """`as_of` in unix seconds."""
        return self.as_of.replace(tzinfo=dt.UTC).timestamp()

    def table(self, name: str, *, keep: str = "first") -> TypedTable:
        """The collector of one table; the same one for every resource that writes to it."""
        if name not in self.tables:
            self.tables[name] = TypedTable(self.contracts[name], self.quarantine, keep=keep, forgotten=self.forgotten)
        return self.tables[name]

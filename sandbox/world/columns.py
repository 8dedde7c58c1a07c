"""A table of columns that grows: the simulation's state is arrays over customers, not objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, np.dtype[Any]]


class Table:
    """Columns of equal length with a default each; `table.name` is the live part of a column, writable in place.

    Raises:
        AttributeError: for a column that the table does not have.
    """

    def __init__(self, **defaults: tuple[str, Any]) -> None:
        self._defaults = defaults
        self._size = 0
        self._seen: list[str] = []  # columns whose live part was asked for since the last row was added
        self._data: dict[str, Array] = {
            name: np.full(256, default, dtype=kind) for name, (kind, default) in defaults.items()
        }

    def __len__(self) -> int:
        return self._size

    def __getattr__(self, name: str) -> Array:
        if name not in self.__dict__.get("_data", ()):
            raise AttributeError(f"The table has no column {name!r}.")
        live: Array = self._data[name][: self._size]
        self.__dict__[name] = live
        self._seen.append(name)
        return live

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_data", ()):
            self._data[name][: self._size] = value
        else:
            object.__setattr__(self, name, value)

    def append(self, **values: Any) -> int:
        """Add one row, the columns that are not given get their defaults; returns its position."""
        self._forget()
        row = self._size
        if row == len(next(iter(self._data.values()))):
            for name, (kind, default) in self._defaults.items():
                grown = np.full(2 * row, default, dtype=kind)
                grown[:row] = self._data[name]
                self._data[name] = grown
        for name, value in values.items():
            self._data[name][row] = value
        self._size = row + 1
        return row

    def _forget(self) -> None:
        for name in self._seen:
            del self.__dict__[name]
        self._seen.clear()

    def extend(self, rows: list[tuple[Any, ...]]) -> None:
        """Add many rows at once, each with a value for every column in the order of the columns."""
        if not rows:
            return
        self._forget()
        size = self._size + len(rows)
        capacity = len(next(iter(self._data.values())))
        while capacity < size:
            capacity *= 2
        for (name, (kind, default)), values in zip(self._defaults.items(), zip(*rows, strict=True), strict=True):
            column = self._data[name]
            if len(column) < capacity:
                column = np.full(capacity, default, dtype=kind)
                column[: self._size] = self._data[name][: self._size]
                self._data[name] = column
            column[self._size : size] = values
        self._size = size

    def save(self, path: Path) -> None:
        """Write the live rows to one uncompressed npz file."""
        np.savez(path, allow_pickle=False, **{name: column[: self._size] for name, column in self._data.items()})

    def load(self, path: Path) -> None:
        """Read the rows that `save` wrote."""
        self._forget()
        with np.load(path, allow_pickle=False) as saved:
            self._size = len(saved[next(iter(self._defaults))])
            capacity = 256
            while capacity < self._size:
                capacity *= 2
            for name, (kind, default) in self._defaults.items():
                column = np.full(capacity, default, dtype=kind)
                column[: self._size] = saved[name]
                self._data[name] = column

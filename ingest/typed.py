"""Vendor records to Arrow tables of the contract's types.

Every record that was received is counted in exactly one of three places: loaded, deduplicated (the same key came again
within one extraction), quarantined (a value is not of its column's type, or the key is missing). Their sum is what was
extracted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest.arrow import ARROW_TYPES, arrow_schema
from ingest.contracts import DUCKDB_TYPES, TableContract
from ingest.errors import UntypedFileError
from ingest.forgotten import Forgotten
from ingest.quarantine import Quarantine
from ingest.values import BIGINT_LIMIT, CONVERTERS, WrongTypeError, column_name, to_added_text

# rows given to the loader at once: large enough that its cost per table does not matter, small enough for memory
CHUNK_ROWS = 5_000


class TypedTable:
    """Collects the records of one table and gives them out as Arrow tables of the contract's types.

    `keep` says which of several records with the same primary key wins within one extraction: "first" for lists that
    show the current object (a repeat at a page border is the same object again), "last" for feeds of changes.
    """

    def __init__(
        self,
        contract: TableContract,
        quarantine: Quarantine,
        *,
        keep: str = "first",
        forgotten: Forgotten | None = None,
    ) -> None:
        if keep == "last" and not contract.latest_by:
            raise ValueError(f"{contract.name} keeps the last version, so its contract must name `latest_by`.")
        self._contract = contract
        self._quarantine = quarantine
        self._keep_last = keep == "last"
        self._forgotten = forgotten or Forgotten()
        self._schema = arrow_schema(contract)
        self._columns = list(contract.columns)
        self._key = contract.primary_key
        self._key_position = self._columns.index(self._key) if self._key else None
        # vendor field -> (position, converter); filled as fields are seen
        self._slots: dict[str, tuple[int, Callable[[Any], Any]]] = {}
        self._added: list[str] = []
        self._rows: list[list[Any]] = []
        # where the row of a key sits among the rows not yet given out, and the keys that were given out before
        self._places: dict[Any, int] = {}
        self._given: set[Any] = set()
        self.extracted = 0
        self.quarantined = 0
        self.deduplicated = 0
        # rows that only tell the load to delete the row of that key
        self.vanished = 0

    @property
    def loaded(self) -> int:
        """Records that went or will go into the table."""
        return self.extracted - self.quarantined - self.deduplicated

    @property
    def pending(self) -> int:
        """Rows not yet given out."""
        return len(self._rows)

    def _slot(self, field_name: str) -> tuple[int, Callable[[Any], Any]]:
        name = column_name(field_name)
        if name in self._contract.columns:
            slot = (self._columns.index(name), CONVERTERS[self._contract.columns[name]])
        else:
            if name not in self._added:
                self._added.append(name)
            slot = (len(self._columns) + self._added.index(name), to_added_text)
        self._slots[field_name] = slot
        return slot

    def _typed(self, record: Mapping[str, Any]) -> list[Any]:
        row: list[Any] = [None] * (len(self._columns) + len(self._added))
        slots = self._slots
        for field_name, value in record.items():
            if value is None:
                continue
            slot = slots.get(field_name) or self._slot(field_name)
            position, convert = slot
            if position >= len(row):
                row.extend([None] * (position + 1 - len(row)))
            try:
                typed = convert(value)
            except WrongTypeError as wrong:
                raise WrongTypeError(f"{field_name} {wrong}.") from None
            if row[position] is not None and row[position] != typed:
                raise WrongTypeError(f"{field_name} is there twice, in two spellings.")
            row[position] = typed
        return row

    def add(self, records: Iterable[Any], location: str) -> None:
        """Take records in the order the vendor gave them; `location` says where they stood, for the quarantine."""
        for record in records:
            self.extracted += 1
            if not isinstance(record, Mapping):
                self.reject(location, None, "The record is not an object.", record)
                continue
            try:
                row = self._typed(record)
            except WrongTypeError as wrong:
                self.reject(location, self._key_text(record), str(wrong), record)
                continue
            if self._key_position is None:
                self._rows.append(row)
                continue
            key = row[self._key_position]
            if key is None or key == "":
                self.reject(location, None, f"{self._key} is missing.", record)
                continue
            self._place(key, row)

    def _place(self, key: Any, row: list[Any]) -> None:
        place = self._places.get(key)
        if place is None and key not in self._given:
            self._places[key] = len(self._rows)
            self._rows.append(row)
            return
        self.deduplicated += 1
        if not self._keep_last:
            return
        if place is not None:
            self._rows[place] = row
        else:
            # the older version was given out already; the load keeps the one that is the latest by its column
            self._places[key] = len(self._rows)
            self._rows.append(row)

    def reject(self, location: str, record_key: str | None, reason: str, payload: Any) -> None:
        """Set aside a record that `add` or the caller counted as extracted."""
        self.quarantined += 1
        self._quarantine.add(
            self._contract.name, location=location, record_key=record_key, reason=reason, payload=payload
        )

    def reject_new(self, location: str, record_key: str | None, reason: str, payload: Any) -> None:
        """Count a record as extracted and set it aside at once."""
        self.extracted += 1
        self.reject(location, record_key, reason, payload)

    def removal(self, keys: Iterable[Any]) -> pa.Table:
        """Rows that make the load delete the rows of these keys; they are no records and are not counted as such."""
        flag = self._contract.vanished_flag
        if flag is None or self._key is None:
            raise ValueError(f"{self._contract.name} has no column that tells a load to delete a row.")
        listed = sorted(keys)
        self.vanished += len(listed)
        columns = {name: pa.nulls(len(listed), ARROW_TYPES[kind]) for name, kind in self._contract.columns.items()}
        columns[self._key] = pa.array(listed, ARROW_TYPES[self._contract.columns[self._key]])
        columns[flag] = pa.array([True] * len(listed))
        return pa.table(columns, schema=self._schema)

    def withdraw(self, records: int) -> None:
        """Take back records that were typed and are not handed to the loader after all: they count as not received."""
        self.extracted -= records

    def repeat(self, records: int) -> None:
        """Count records that were received before under another name."""
        self.extracted += records
        self.deduplicated += records

    def _key_text(self, record: Mapping[str, Any]) -> str | None:
        key = record.get(self._key) if self._key else None
        return str(key) if isinstance(key, str | int) else None

    def drain(self) -> pa.Table:
        """The rows collected since the last call, typed; fields the contract does not know follow as text columns."""
        rows, self._rows = self._rows, []
        self._given.update(self._places)
        self._places.clear()
        width = len(self._columns) + len(self._added)
        for row in rows:
            row.extend([None] * (width - len(row)))
        try:
            table = self._arrow(rows)
        except (UnicodeEncodeError, pa.ArrowInvalid):
            table = self._arrow([row for row in rows if self._is_utf8(row)])
        return self._without_forgotten(table)

    def _without_forgotten(self, table: pa.Table) -> pa.Table:
        return self._forgotten.scrub(f"{self._contract.dataset}.{self._contract.name}", table)[0]

    def _is_utf8(self, row: list[Any]) -> bool:
        try:
            for value in row:
                if isinstance(value, str):
                    value.encode()
        except UnicodeEncodeError:
            key = row[self._key_position] if self._key_position is not None else None
            payload = dict(zip(self._columns, row, strict=False))
            self.reject(
                "text of the record", str(key) if key is not None else None, "A text is not valid Unicode.", payload
            )
            return False
        return True

    def _arrow(self, rows: list[list[Any]]) -> pa.Table:
        columns = list(zip(*rows, strict=True)) if rows else [()] * (len(self._columns) + len(self._added))
        arrays = [
            pa.array(values, ARROW_TYPES[self._contract.columns[name]])
            for name, values in zip(self._columns, columns, strict=False)
        ]
        arrays += [pa.array(values, pa.string()) for values in columns[len(self._columns) :]]
        fields = [*self._schema, *(pa.field(name, pa.string()) for name in self._added)]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def typed(self, pages: Iterable[tuple[Iterable[Any], str]]) -> Iterator[pa.Table]:
        """Pages of (records, location) as Arrow tables of about `CHUNK_ROWS` rows each."""
        for records, location in pages:
            self.add(records, location)
            if self.pending >= CHUNK_ROWS:
                yield self.drain()
        if self.pending:
            yield self.drain()

    def take_arrow(self, table: pa.Table, location: str) -> pa.Table:
        """Type a table that came in a columnar file, without touching its rows one by one.

        A column that already has the contract's type passes as it is. Any other is cast value by value; a row that
        holds a value which does not survive the cast is quarantined. Columns the contract does not know follow as text.

        Raises:
            UntypedFileError: if that cannot be said row by row; then none of it is counted or set aside.
        """
        aside: list[tuple[str, Any]] = []
        try:
            taken = self._without_forgotten(self._taken(table, aside))
        except (pa.ArrowException, duckdb.Error, UnicodeDecodeError) as failure:
            raise UntypedFileError((str(failure).splitlines() or [type(failure).__name__])[0]) from None
        self.extracted += table.num_rows
        for reason, payload in aside:
            self.reject(location, None, reason, payload)
        return taken

    def _taken(self, table: pa.Table, aside: list[tuple[str, Any]]) -> pa.Table:
        """The rows that can be typed; those that cannot are added to `aside` with the reason."""
        table = _unicode(_named(table), aside)
        if table.schema.remove_metadata().equals(self._schema):
            return table.replace_schema_metadata(None)
        table = self._with_utc_times(table, aside)
        if not self._needs_cast(table):
            return self._aligned(table)
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.register("received", table)
            good, bad = self._cast_queries(table)
            reasons, payloads = (column.to_pylist() for column in connection.sql(bad).to_arrow_table().columns)
            aside.extend(zip(reasons, payloads, strict=True))
            return self._aligned(connection.sql(good).to_arrow_table())

    def _with_utc_times(self, table: pa.Table, aside: list[tuple[str, Any]]) -> pa.Table:
        """The table with its times in UTC microseconds, whatever unit and zone the file gave them.

        Rows whose time is too far away for that are set aside here: DuckDB breaks on them.
        """
        for position, item in enumerate(table.schema):
            if not pa.types.is_timestamp(item.type) or item.type == pa.timestamp("us"):
                continue
            times = table.column(position).cast(pa.timestamp(item.type.unit))
            scale = {"s": 1_000_000, "ms": 1000}.get(item.type.unit, 1)
            limit = (BIGINT_LIMIT - 1) // scale
            ticks = times.cast(pa.int64())
            fits = pc.fill_null(pc.and_(pc.less_equal(ticks, limit), pc.greater_equal(ticks, -limit)), True)
            reason = f"{item.name} is a time beyond what a timestamp can hold."
            beyond = table.filter(pc.invert(fits)).drop_columns([item.name])
            aside.extend((reason, row) for row in beyond.to_pylist())
            table = table.set_column(position, item.name, times).filter(fits)
            times = table.column(position).cast(pa.timestamp("us"), safe=item.type.unit != "ns")
            table = table.set_column(position, item.name, times)
        return table

    def _needs_cast(self, table: pa.Table) -> bool:
        return any(
            field.type != (self._schema.field(field.name).type if field.name in self._columns else pa.string())
            for field in table.schema
        )

    def _aligned(self, table: pa.Table) -> pa.Table:
        added = [name for name in table.column_names if name not in self._columns]
        arrays = [
            table.column(name) if name in table.column_names else pa.nulls(table.num_rows, ARROW_TYPES[kind])
            for name, kind in self._contract.columns.items()
        ]
        fields = [*self._schema, *(pa.field(name, pa.string()) for name in added)]
        return pa.Table.from_arrays([*arrays, *(table.column(name) for name in added)], schema=pa.schema(fields))

    def _cast_queries(self, table: pa.Table) -> tuple[str, str]:
        """SQL for the rows whose every value fits, and for (reason, payload) of the others."""
        selected, failures = [], []
        for item in table.schema:
            quoted = '"' + item.name.replace('"', '""') + '"'
            kind = DUCKDB_TYPES[self._contract.columns[item.name]] if item.name in self._columns else "varchar"
            wanted = self._schema.field(item.name).type if item.name in self._columns else pa.string()
            if item.type == wanted:
                selected.append(quoted)
            elif pa.types.is_nested(item.type):
                selected.append(f"to_json({quoted})::varchar as {quoted}")
            else:
                text = f"{quoted}::varchar"
                selected.append(f"try_cast({text} as {kind}) as {quoted}")
                sentence = f"{item.name} is %, not of type {kind}.".replace("'", "''")
                before, after = sentence.split("%")
                failures.append(
                    f"when {quoted} is not null and try_cast({text} as {kind}) is null"
                    f" then '{before}' || left({text}, 60) || '{after}'"
                )
        failure = f"case {' '.join(failures)} end" if failures else "null::varchar"
        good = f"select {', '.join(selected)} from received where ({failure}) is null"
        bad = f"select {failure} as reason, to_json(received)::varchar as payload from received"
        return good, f"{bad} where ({failure}) is not null"


def _named(table: pa.Table) -> pa.Table:
    """The table with its columns under the names that the warehouse gives them.

    Raises:
        UntypedFileError: if two of them get the same one.
    """
    names = [column_name(name) for name in table.column_names]
    if len(set(names)) < len(names):
        name = next(name for position, name in enumerate(names) if name in names[:position])
        spelt = [given for given in table.column_names if column_name(given) == name]
        raise UntypedFileError(f"its columns {' and '.join(map(repr, spelt))} are both {name}")
    return table if names == table.column_names else table.rename_columns(names)


def _unicode(table: pa.Table, aside: list[tuple[str, Any]]) -> pa.Table:
    """The rows whose texts are what a text has to be; a file's writer may have put any bytes there."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        pass
    else:
        return table
    for name in [item.name for item in table.schema if _is_text(item.type)]:
        sound = pa.array([_is_utf8_bytes(value) for value in _bytes(table.column(name))], pa.bool_())
        aside.extend((f"{name} is not valid UTF-8.", row) for row in _shown(table.filter(pc.invert(sound))))
        table = table.filter(sound)
    table.validate(full=True)
    return table


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _bytes(column: pa.ChunkedArray) -> list[bytes | None]:
    found: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return found


def _shown(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as a person may read them, with bytes that are no text as escapes."""
    columns = [
        [value and value.decode("utf-8", "backslashreplace") for value in _bytes(column)]
        if _is_text(column.type)
        else column.to_pylist()
        for column in table.columns
    ]
    return [dict(zip(table.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


def _is_utf8_bytes(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True

"""The sandbox's memory: the vendors' documents, what was delivered to them, and the world's clock.

One SQLite file. A document is kept in the vendor's own JSON shape; a server reads and writes it, the simulation creates
and changes it. Times are unix seconds (UTC) of the world's clock, never of the machine's.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Order = Literal["id", "created_at", "updated_at"]
Key = tuple[float, str]

COLLECTIONS = (
    "stripe.customers", "stripe.products", "stripe.prices", "stripe.coupons", "stripe.subscriptions",
    "stripe.invoices", "stripe.refunds", "stripe.charges", "stripe.events",
    "zendesk.tickets", "zendesk.users", "zendesk.organizations", "zendesk.satisfaction_ratings",
    "zendesk.ticket_metrics",
    "bitrix24.leads", "bitrix24.deals", "bitrix24.contacts", "bitrix24.companies", "bitrix24.statuses",
    "bitrix24.categories", "bitrix24.users",
    "customerio.messages", "customerio.campaigns", "customerio.customers", "customerio.segments",
)  # fmt: skip

SCHEMA = """
create table if not exists documents (
    collection text not null,
    id text not null,
    id_number integer not null,  -- the id as a number where the vendor's ids are numbers, else 0
    created_at real not null,
    updated_at real not null,
    parent text,
    body blob not null,
    primary key (collection, id)
);
create table if not exists inbox (
    id integer primary key,
    vendor text not null,
    kind text not null,
    received_at real not null,
    idempotency_key text,
    status integer not null,
    body blob not null
);
create index if not exists inbox_by_time on inbox (received_at, id);
create index if not exists inbox_by_key on inbox (vendor, idempotency_key) where idempotency_key is not null;
create table if not exists settings (key text primary key, value text not null);
create table if not exists sequences (name text primary key, value integer not null);
"""

LISTINGS = {
    "documents_by_id": "documents (collection, id_number, id)",
    "documents_by_created": "documents (collection, created_at, id_number, id)",
    "documents_by_updated": "documents (collection, updated_at, id_number, id)",
    "documents_by_parent": "documents (collection, parent) where parent is not null",
}
"""The indexes behind the orders of `page`."""


@dataclass(frozen=True, slots=True)
class Document:
    """One vendor object. `updated_at` is what the vendor's change cursor sees."""

    id: str
    body: dict[str, Any]
    created_at: float
    updated_at: float
    parent: str | None = None

    def key(self, order: Order) -> Key:
        """The position of this document in a listing, to be given back as `after` or `before`."""
        return ({"id": 0.0, "created_at": self.created_at, "updated_at": self.updated_at}[order], self.id)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing that somebody sent to a vendor."""

    id: int
    vendor: str
    kind: str
    received_at: float
    idempotency_key: str | None
    status: int
    body: dict[str, Any]


def _id_number(document_id: str) -> int:
    return int(document_id) if document_id.isdecimal() else 0


class Store:
    """The documents of all vendors in one SQLite file; safe to share between the threads of one process.

    Several processes may hold the same file: readers never wait, writers wait up to 60 s for each other.

    Raises:
        sqlite3.OperationalError: if the folder of `path` does not exist or another writer does not finish.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")
        self._connection.execute("pragma cache_size = -65536")
        self._connection.executescript(SCHEMA)
        self._index_listings()

    def close(self) -> None:
        """Give the file back; the write-ahead log is folded in when nobody else holds it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: what is written inside is seen by others after the block, or never. May be nested."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("rollback")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("commit")

    @contextmanager
    def filling(self) -> Iterator[None]:
        """One transaction that writes a whole world into a new file; nobody else may hold it.

        The listings are indexed at its end, and pages go to the file itself instead of through the write-ahead log.
        """
        self._connection.execute("pragma journal_mode = memory")
        with self.transaction():
            for name in LISTINGS:
                self._connection.execute(f"drop index if exists {name}")
            yield
            self._index_listings()
        self._connection.execute("pragma journal_mode = wal")

    def _index_listings(self) -> None:
        for name, what in LISTINGS.items():
            self._connection.execute(f"create index if not exists {name} on {what}")

    # Documents

    def get(self, collection: str, document_id: str | int) -> dict[str, Any] | None:
        """The body of one document, or None."""
        document = self.document(collection, document_id)
        return document.body if document else None

    def document(self, collection: str, document_id: str | int) -> Document | None:
        """One document with its times, or None."""
        with self._lock:
            row = self._connection.execute(
                "select id, body, created_at, updated_at, parent from documents where collection = ? and id = ?",
                (collection, str(document_id)),
            ).fetchone()
        return _document(row) if row else None

    def put(
        self,
        collection: str,
        document_id: str | int,
        body: dict[str, Any],
        created_at: float,
        updated_at: float | None = None,
        parent: str | None = None,
    ) -> None:
        """Write one document, replacing the one with the same id."""
        changed_at = created_at if updated_at is None else updated_at
        self.put_many(collection, [Document(str(document_id), body, created_at, changed_at, parent)])

    def put_many(self, collection: str, documents: Iterable[Document]) -> None:
        """Write documents in one transaction, replacing those with the same ids."""
        rows = (
            (collection, d.id, _id_number(d.id), d.created_at, d.updated_at, d.parent, orjson.dumps(d.body))
            for d in documents
        )
        with self.transaction():
            self._connection.executemany("insert or replace into documents values (?, ?, ?, ?, ?, ?, ?)", rows)

    def delete(self, collection: str, document_id: str | int) -> bool:
        """Remove one document; says whether there was one."""
        with self._lock:
            cursor = self._connection.execute(
                "delete from documents where collection = ? and id = ?", (collection, str(document_id))
            )
        return cursor.rowcount > 0

    def delete_created_before(self, collection: str, created_at: float) -> int:
        """Remove the documents older than an instant (retention); returns how many."""
        with self._lock:
            cursor = self._connection.execute(
                "delete from documents where collection = ? and created_at < ?", (collection, created_at)
            )
        return cursor.rowcount

    def page(
        self,
        collection: str,
        *,
        order: Order = "id",
        descending: bool = False,
        after: Key | None = None,
        before: Key | None = None,
        limit: int = 100,
        offset: int = 0,
        parent: str | None = None,
        **bounds: float | None,
    ) -> list[Document]:
        """Up to `limit` documents in a total order: by (`order`, id), ids as numbers where they are numbers.

        Args:
            collection: One of COLLECTIONS.
            order: What to order by; ties are broken by id.
            descending: Newest or highest first.
            after: Only documents that come later *in the chosen direction*; a `Document.key(order)`.
            before: Only documents that come earlier in the chosen direction (the nearest ones are *not* chosen
                specially: the page still starts at the beginning of the listing).
            limit: Most documents to return.
            offset: Documents to skip first.
            parent: Only documents with this parent.
            **bounds: `created_gte`, `created_gt`, `created_lte`, `created_lt`, and the same for `updated_`, `id_`.
        """
        where, values = _conditions(collection, parent, bounds)
        columns = "id_number, id" if order == "id" else f"{order}, id_number, id"
        for key, forward in ((after, not descending), (before, descending)):
            if key is not None:
                where.append(f"({columns}) {'>' if forward else '<'} ({', '.join('?' * len(columns.split(', ')))})")
                position = [] if order == "id" else [key[0]]
                values += [*position, _id_number(key[1]), key[1]]
        direction = " desc" if descending else ""
        by = ", ".join(column + direction for column in columns.split(", "))
        query = (
            "select id, body, created_at, updated_at, parent from documents "
            f"where {' and '.join(where)} order by {by} limit ? offset ?"
        )
        with self._lock:
            rows = self._connection.execute(query, (*values, limit, offset)).fetchall()
        return [_document(row) for row in rows]

    def count(self, collection: str, *, parent: str | None = None, **bounds: float | None) -> int:
        """How many documents a collection holds, with the bounds of `page`."""
        where, values = _conditions(collection, parent, bounds)
        with self._lock:
            query = f"select count(*) from documents where {' and '.join(where)}"
            return int(self._connection.execute(query, values).fetchone()[0])

    # The clock and other settings

    def now(self) -> float:
        """The world's clock in unix seconds.

        Raises:
            LookupError: if no world was generated into this file.
        """
        value = self.setting("clock")
        if value is None:
            raise LookupError(f"{self.path} holds no world yet. Generate one first: lifecycle sandbox generate.")
        return float(value)

    def set_now(self, instant: float) -> None:
        """Move the world's clock (unix seconds)."""
        self.set_setting("clock", repr(float(instant)))

    def setting(self, key: str) -> str | None:
        """One setting, or None."""
        with self._lock:
            row = self._connection.execute("select value from settings where key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_setting(self, key: str, value: str) -> None:
        """Write one setting."""
        with self._lock:
            self._connection.execute("insert or replace into settings values (?, ?)", (key, value))

    def next_id(self, name: str) -> int:
        """The next number of a sequence, from 1; never the same twice."""
        with self._lock:
            row = self._connection.execute(
                "insert into sequences values (?, 1) on conflict (name) do update set value = value + 1 "
                "returning value",
                (name,),
            ).fetchone()
        return int(row[0])

    def raise_sequence(self, name: str, value: int) -> None:
        """Make a sequence continue after `value` unless it is further already."""
        with self._lock:
            self._connection.execute(
                "insert into sequences values (?, ?) on conflict (name) do update "
                "set value = max(value, excluded.value)",
                (name, value),
            )

    # Deliveries

    def record_delivery(
        self,
        vendor: str,
        kind: str,
        body: dict[str, Any],
        *,
        status: int = 200,
        idempotency_key: str | None = None,
        received_at: float | None = None,
    ) -> int:
        """Note what was sent to a vendor (also what it refused: `status` is what we answered); returns its number."""
        at = self.now() if received_at is None else received_at
        with self._lock:
            cursor = self._connection.execute(
                "insert into inbox (vendor, kind, received_at, idempotency_key, status, body) "
                "values (?, ?, ?, ?, ?, ?)",
                (vendor, kind, at, idempotency_key, status, orjson.dumps(body)),
            )
        return int(cursor.lastrowid or 0)

    def deliveries(
        self,
        vendor: str | None = None,
        *,
        received_gte: float | None = None,
        received_lt: float | None = None,
        idempotency_key: str | None = None,
    ) -> list[Delivery]:
        """What was delivered, in the order of arrival."""
        where, values = ["true"], list[Any]()
        for condition, value in (
            ("vendor = ?", vendor),
            ("received_at >= ?", received_gte),
            ("received_at < ?", received_lt),
            ("idempotency_key = ?", idempotency_key),
        ):
            if value is not None:
                where.append(condition)
                values.append(value)
        query = (
            "select id, vendor, kind, received_at, idempotency_key, status, body from inbox "
            f"where {' and '.join(where)} order by id"
        )
        with self._lock:
            rows = self._connection.execute(query, values).fetchall()
        return [
            Delivery(number, vendor_name, kind, at, key, status, orjson.loads(body))
            for number, vendor_name, kind, at, key, status, body in rows
        ]


def _document(row: tuple[Any, ...]) -> Document:
    return Document(row[0], orjson.loads(row[1]), row[2], row[3], row[4])


def _conditions(collection: str, parent: str | None, bounds: dict[str, float | None]) -> tuple[list[str], list[Any]]:
    columns = {"created": "created_at", "updated": "updated_at", "id": "id_number"}
    signs = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}
    where, values = ["collection = ?"], list[Any]([collection])
    if parent is not None:
        where.append("parent = ?")
        values.append(parent)
    for name, value in bounds.items():
        column, _, sign = name.rpartition("_")
        if column not in columns or sign not in signs:
            raise TypeError(f"A listing has no bound named {name!r}; the bounds are created_gte, updated_lt and so on.")
        if value is not None:
            where.append(f"{columns[column]} {signs[sign]} ?")
            values.append(value)
    return where, values

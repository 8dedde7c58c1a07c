"""What all accounts share: the world they are in, and pages of stored JSON by SQL.

Pages are read straight from the documents table and joined as text. A stored body is what the vendor shows, so parsing
and writing it again would only cost time; a handler parses a body only where the vendor's answer differs from it.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.faults import Faults, is_held_back

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sandbox.limits import Clock, Limits
    from sandbox.store import Store


# beyond the end of every list, and still a number that SQLite takes
LARGEST_OFFSET = 2**62


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the sandbox's accounts accept. They open nothing but this sandbox."""

    stripe_api_key: str = "rk_test_sandbox"
    zendesk_email: str = "ops@sandbox.example"
    zendesk_api_token: str = "sandbox-zendesk-token"  # noqa: S105
    zendesk_oauth_token: str = "sandbox-zendesk-oauth"  # noqa: S105
    bitrix24_user: str = "1"
    bitrix24_secret: str = "sandboxsecret"  # noqa: S105
    customerio_app_key: str = "sandbox-app-key"
    customerio_site_id: str = "sandbox-site"
    customerio_track_key: str = "sandbox-track-key"
    make_hook: str = "sandboxhook0123456789abcdefghijkl"
    # null: the hook asks for no key
    make_api_key: str | None = None
    chat_path: str = "T0/B0/sandbox"


@dataclass(frozen=True, slots=True)
class Row:
    """One document: its body as the stored JSON, its times in unix seconds."""

    id: str
    created_at: float
    updated_at: float
    body: bytes

    def parsed(self) -> dict[str, Any]:
        """The body as an object of its own; changing it changes nothing stored."""
        found: dict[str, Any] = orjson.loads(self.body)
        return found


@dataclass(slots=True)
class World:
    """Everything the vendor servers share within one process."""

    store: Store
    rows: Rows
    data_dir: Path
    limits: Limits
    faults: Faults
    credentials: Credentials
    clock: Clock = time.monotonic
    # requests by (vendor, method, path, status); Bitrix24 paths carry the method and never the secret
    requests: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)
    on_limits_changed: list[Callable[[], None]] = field(default_factory=list)

    def now(self) -> float:
        """World time in unix seconds."""
        return self.store.now()

    def new_id(self, collection: str) -> int:
        """The next free number of a collection, above every one the world has used."""
        newest = self.rows.select(collection, order="id_number desc, id desc", limit=1)
        if newest:
            self.store.raise_sequence(collection, int(newest[0].id))
        return self.store.next_id(collection)


class Rows:
    """Read-only SQL over the documents; one connection for the server's event loop.

    `where` fragments come from handlers and name columns and `json_extract` paths they chose; every value is bound.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=30
        )
        self._connection.create_function("held_back", 2, is_held_back_sql, deterministic=True)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def get(self, collection: str, row_id: str) -> Row | None:
        """One document or None."""
        found = self.select(collection, "id = ?", (row_id,), order="id", limit=1)
        return found[0] if found else None

    def select(
        self,
        collection: str,
        where: str = "1",
        values: Sequence[Any] = (),
        *,
        order: str,
        limit: int = -1,
        offset: int = 0,
    ) -> list[Row]:
        """Documents of a collection that satisfy `where`, in `order`."""
        cursor = self._connection.execute(
            f"select id, created_at, updated_at, body from documents where collection = ? and ({where})"
            f" order by {order} limit ? offset ?",
            (collection, *map(bindable, values), limit, min(offset, LARGEST_OFFSET)),
        )
        return [Row(*row) for row in cursor]

    def count(self, collection: str, where: str = "1", values: Sequence[Any] = ()) -> int:
        """How many documents of a collection satisfy `where`."""
        (number,) = self._connection.execute(
            f"select count(*) from documents where collection = ? and ({where})", (collection, *map(bindable, values))
        ).fetchone()
        return int(number)

    def bodies_by_id(self, collection: str, ids: Sequence[str]) -> dict[str, bytes]:
        """Bodies of the named documents; those that do not exist are missing from the answer."""
        marks = ",".join("?" * len(ids))
        cursor = self._connection.execute(
            f"select id, body from documents where collection = ? and id in ({marks})", (collection, *ids)
        )
        return dict(cursor.fetchall())


def bindable(value: Any) -> Any:
    """A value from a request as SQLite compares it: whole numbers beyond 64 bits as floats, objects as their text."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return float(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def is_held_back_sql(row_id: str, share: float) -> int:
    """`faults.is_held_back` for SQLite."""
    return int(is_held_back(row_id, share))


def json_field(path: str) -> str:
    """SQL for one value of the stored body; `path` is written by a handler, never taken from a request unchecked."""
    return f"json_extract(cast(body as text), '$.{path}')"


def joined(rows: Sequence[Row]) -> bytes:
    """The bodies as the inside of a JSON list."""
    return b",".join(row.body for row in rows)

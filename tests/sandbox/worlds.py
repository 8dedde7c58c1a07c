"""Small worlds for the tests, and how to look at them."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow.parquet as pq

from sandbox.generate import store_path
from sandbox.world.parameters import EdgeCases, WorldParameters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OFTEN = EdgeCases(
    outsourced_billing=0.05,
    domain_change=0.15,
    company_merger=0.15,
    duplicate_billing_customer=0.2,
    reused_email=0.3,
    unknown_requester=0.3,
    anonymous_never_tied=0.1,
)
SMALL = WorldParameters(customers=150, months=6, events_per_day=140, seed=7, edge_cases=OFTEN)


def bodies(data_dir: Path, collection: str) -> Iterator[dict[str, Any]]:
    """All documents of a collection."""
    connection = sqlite3.connect(store_path(data_dir))
    try:
        for (body,) in connection.execute("select body from documents where collection = ? order by id", (collection,)):
            yield orjson.loads(body)
    finally:
        connection.close()


def fingerprint(data_dir: Path) -> dict[str, str]:
    """A digest of everything a world shows: documents, settings that matter, bucket and truth."""
    connection = sqlite3.connect(store_path(data_dir))
    found = {}
    query = "select collection, id, created_at, updated_at, parent, body from documents order by collection, id"
    for collection, *rest in connection.execute(query):
        digest = found.setdefault(collection, hashlib.sha256())
        digest.update(repr(rest).encode())
    shown = {name: digest.hexdigest() for name, digest in found.items()}
    shown["clock"] = connection.execute("select value from settings where key = 'clock'").fetchone()[0]
    connection.close()
    folder = data_dir / "sandbox"
    for path in sorted([*folder.glob("bucket/**/*.*"), *folder.glob("truth/*")]):
        content = str(pq.read_table(path).to_pydict()).encode() if path.suffix == ".parquet" else path.read_bytes()
        shown[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return shown

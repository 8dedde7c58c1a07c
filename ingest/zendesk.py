"""Support: Zendesk's API v2.

Data flow: cursor exports of tickets (with metric sets) and users, lists of organisations and satisfaction ratings ->
raw_zendesk.*.
Incremental rule: exports follow the vendor's opaque cursor, which orders by the system's change time; `updated_at` is
earlier than that for changes made by the system, so a cursor of our own over it would lose them. The cursor of the last
page is kept and asked again; when the vendor then counts more tickets than can be here, the export starts over.
Organisations are listed whole; ratings are listed whole at first and afterwards from 30 days before the last load, the
time a rating may still change.
Delete rule: deleted tickets come through the export with status `deleted`, deleted users with `active` false.
Organisations that vanish stay. Everything is merged by `id`; of several versions in one load the newest wins.
Limits: 10 export requests a minute, which a page of 1,000 rows is for; Retry-After is honoured in full.
Run: python -m ingest zendesk
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dlt
import pyarrow as pa
from dlt.sources import DltResource
from dlt.sources.rest_api import rest_api_resources

from ingest import configuration, contracts, guards
from ingest.errors import ImplausibleAnswerError
from ingest.extraction import Extraction
from ingest.http import Pace, VendorSession
from ingest.rest import TypedPages

TABLES = contracts.load("zendesk")
EXPORTS: dict[str, dict[str, Any]] = {"tickets": {"include": "metric_sets"}, "users": {}}
EXPORT_PAGE = 1000
LIST_PAGE = 100
RATING_MAY_CHANGE = dt.timedelta(days=30).total_seconds()
# tickets of the last minute are counted but not exported yet
COUNT_SLACK = 50


@dlt.source(name="zendesk", max_table_nesting=0)
def zendesk(
    extraction: Extraction, base_url: str, email: str, api_token: str, exports_per_minute: int
) -> Iterable[DltResource]:
    """Tickets, users, organisations and satisfaction ratings."""
    exports = Pace(exports_per_minute, 60.0)
    session = VendorSession(
        "Zendesk",
        base_url,
        pace=lambda path: exports if "/incremental/" in path else None,
        credentials_hint=configuration.credentials_hint("zendesk"),
    )
    session.auth = (f"{email}/token", api_token)
    for name in EXPORTS:
        yield dlt.resource(_export(extraction, session, name), parallelized=True, **TABLES[name].hints())
    yield from _lists(extraction, session)


def _export(extraction: Extraction, session: VendorSession, name: str) -> Callable[[], Iterator[pa.Table]]:
    def export() -> Iterator[pa.Table]:
        table = extraction.table(name, keep="last")
        state = dlt.current.source_state()
        known: str | None = extraction.known.get("cursors", {}).get(name)
        total = _count(extraction, session) if name == "tickets" else None
        cursor = known
        for records, after in _pages(session, name, known):
            cursor = after or cursor
            yield from _typed(extraction, name, records)
        held = extraction.held_rows.get(name, 0) + table.loaded
        if known is not None and total is not None and held < total - COUNT_SLACK:
            extraction.say(f"{name}: the vendor counts {total:,} and at most {held:,} are here, so all are read again")
            known = None
            for records, after in _pages(session, name, None):
                cursor = after or cursor
                yield from _typed(extraction, name, records)
        if known is None:
            guards.require_total(name, table.loaded + table.quarantined, total, slack=COUNT_SLACK)
        state.setdefault("cursors", {})[name] = cursor
        state["read_until"] = extraction.as_of_unix
        extraction.data_through_at = extraction.as_of

    return export


def _typed(extraction: Extraction, name: str, records: list[Any]) -> Iterator[pa.Table]:
    table = extraction.table(name, keep="last")
    table.add(records, f"/api/v2/incremental/{name}")
    if table.pending:
        yield table.drain()
        extraction.say(f"{name}: {table.extracted:,} records")


def _count(extraction: Extraction, session: VendorSession) -> int | None:
    """The vendor's own count of tickets, where it gives one."""
    body = session.fetch("/api/v2/tickets/count.json")
    value = body.get("count", {}).get("value") if isinstance(body, dict) else None
    if not isinstance(value, int):
        return None
    extraction.vendor_totals["tickets"] = value
    return value


def _pages(session: VendorSession, name: str, cursor: str | None) -> Iterator[tuple[list[Any], str | None]]:
    """Pages of an export with the cursor behind each.

    Raises:
        ImplausibleAnswerError: if a page is no list, or the stream goes on without its cursor getting further.
    """
    while True:
        start: dict[str, Any] = {"cursor": cursor} if cursor else {"start_time": 0}
        body = session.fetch(
            f"/api/v2/incremental/{name}/cursor.json", params={**EXPORTS[name], "per_page": EXPORT_PAGE, **start}
        )
        records = body.get(name) if isinstance(body, dict) else None
        if not isinstance(records, list):
            raise ImplausibleAnswerError(f"Zendesk answers the export of {name} with something that is no list.")
        after = body.get("after_cursor")
        yield records, after
        if body.get("end_of_stream"):
            return
        if not after or after == cursor:
            raise ImplausibleAnswerError(f"Zendesk says the export of {name} goes on and does not get further.")
        cursor = after


def _lists(extraction: Extraction, session: VendorSession) -> Iterator[DltResource]:
    """Organisations and ratings: plain lists, declared."""
    since = extraction.known.get("read_until")
    ratings = {"start_time": int(guards.lagged(since, RATING_MAY_CHANGE))} if since else {}
    filters: dict[str, dict[str, Any]] = {"organizations": {}, "satisfaction_ratings": ratings}
    declared: Any = {
        "client": {
            "base_url": f"{session.base_url}/api/v2/",
            "session": session,
            "paginator": {"type": "json_link", "next_url_path": "links.next"},
        },
        "resources": [
            {
                "endpoint": {
                    "path": f"{name}.json",
                    "params": {"page[size]": LIST_PAGE, **parameters},
                    "data_selector": name,
                },
                "parallelized": True,
                **TABLES[name].hints(),
            }
            for name, parameters in filters.items()
        ],
    }
    for resource in rest_api_resources(declared):
        yield resource.add_step(TypedPages(extraction.table(resource.name), f"/api/v2/{resource.name}"))

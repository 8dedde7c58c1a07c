"""Support: Zendesk's API v2.

Data flow: cursor exports of tickets (with metric sets) and users, lists of organisations and satisfaction ratings ->
raw_zendesk.*.
Incremental rule: exports follow the vendor's opaque cursor, which orders by the system's change time; `updated_at` is
earlier than that for changes made by the system, so a cursor of our own over it would lose them. The cursor of the last
page is kept and asked again; when the vendor then counts more tickets than can be here, the export starts over.
Organisations are listed whole at first, by the list because it has room where exports are rationed; afterwards their
export is asked from an hour before the last load, and the list again when the vendor counts more than can be here.
Ratings are listed whole at first and afterwards from 30 days before the last load, the time a rating may still change.
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
ORGANIZATIONS_LAG = dt.timedelta(hours=1).total_seconds()
RATING_MAY_CHANGE = dt.timedelta(days=30).total_seconds()
# what was changed in the last minute is counted but not exported yet
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
    yield dlt.resource(_organizations(extraction, session), parallelized=True, **TABLES["organizations"].hints())
    yield _ratings(extraction, session)


def _export(extraction: Extraction, session: VendorSession, name: str) -> Callable[[], Iterator[pa.Table]]:
    def export() -> Iterator[pa.Table]:
        table = extraction.table(name, keep="last")
        state = dlt.current.source_state()
        known: str | None = extraction.known.get("cursors", {}).get(name)
        total = _count(extraction, session, name) if name == "tickets" else None
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
    table.add(records, f"/api/v2/{name}")
    if table.pending:
        yield table.drain()
        extraction.say(f"{name}: {table.extracted:,} records")


def _count(extraction: Extraction, session: VendorSession, name: str) -> int | None:
    """The vendor's own count, where it gives one."""
    body = session.fetch(f"/api/v2/{name}/count.json")
    value = body.get("count", {}).get("value") if isinstance(body, dict) else None
    if not isinstance(value, int):
        return None
    extraction.vendor_totals[name] = value
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


def _organizations(extraction: Extraction, session: VendorSession) -> Callable[[], Iterator[pa.Table]]:
    def organizations() -> Iterator[pa.Table]:
        table = extraction.table("organizations", keep="last")
        since = extraction.known.get("read_until")
        total = _count(extraction, session, "organizations")
        if since is not None:
            for records in _changed_organizations(session, int(guards.lagged(since, ORGANIZATIONS_LAG))):
                yield from _typed(extraction, "organizations", records)
        held = extraction.held_rows.get("organizations", 0) + table.loaded
        if since is None or (total is not None and held < total - COUNT_SLACK):
            for records in _listed_organizations(session):
                yield from _typed(extraction, "organizations", records)
            guards.require_total("organizations", table.loaded + table.quarantined, total, slack=COUNT_SLACK)

    return organizations


def _changed_organizations(session: VendorSession, start: int) -> Iterator[list[Any]]:
    """The export by change time: a page ends at a second, and the next one begins with that second again.

    Raises:
        ImplausibleAnswerError: if a page is no list, or the stream goes on without its time getting further.
    """
    while True:
        body = session.fetch("/api/v2/incremental/organizations.json", params={"start_time": start})
        records = body.get("organizations") if isinstance(body, dict) else None
        if not isinstance(records, list):
            raise ImplausibleAnswerError("Zendesk answers the export of organizations with something that is no list.")
        yield records
        if body.get("end_of_stream"):
            return
        end = body.get("end_time")
        if not isinstance(end, int) or end <= start:
            raise ImplausibleAnswerError("Zendesk says the export of organizations goes on and does not get further.")
        start = end


def _listed_organizations(session: VendorSession) -> Iterator[list[Any]]:
    """The list, page by page.

    Raises:
        ImplausibleAnswerError: if a page is no list, or the list goes on without a cursor.
    """
    after: str | None = None
    while True:
        cursor = {"page[after]": after} if after else {}
        body = session.fetch("/api/v2/organizations.json", params={"page[size]": LIST_PAGE, **cursor})
        records = body.get("organizations") if isinstance(body, dict) else None
        if not isinstance(records, list):
            raise ImplausibleAnswerError("Zendesk answers the list of organizations with something that is no list.")
        yield records
        meta = body.get("meta") or {}
        if not meta.get("has_more"):
            return
        if not meta.get("after_cursor") or meta["after_cursor"] == after:
            raise ImplausibleAnswerError("Zendesk says the list of organizations goes on and does not get further.")
        after = meta["after_cursor"]


def _ratings(extraction: Extraction, session: VendorSession) -> DltResource:
    """Satisfaction ratings: a plain list, declared."""
    since = extraction.known.get("read_until")
    recent = {"start_time": int(guards.lagged(since, RATING_MAY_CHANGE))} if since else {}
    declared: Any = {
        "client": {
            "base_url": f"{session.base_url}/api/v2/",
            "session": session,
            "paginator": {"type": "json_link", "next_url_path": "links.next"},
        },
        "resources": [
            {
                "endpoint": {
                    "path": "satisfaction_ratings.json",
                    "params": {"page[size]": LIST_PAGE, **recent},
                    "data_selector": "satisfaction_ratings",
                },
                "parallelized": True,
                **TABLES["satisfaction_ratings"].hints(),
            }
        ],
    }
    (resource,) = rest_api_resources(declared)
    resource.add_step(TypedPages(extraction.table("satisfaction_ratings"), "/api/v2/satisfaction_ratings"))
    return resource

"""Marketing: Customer.io's App API.

Data flow: /v1/messages (one row per delivery with the times of what happened to it), /v1/campaigns, and the members of
the segment of unsubscribed people -> raw_customerio.*.
Incremental rule: messages newer than the newest one seen, together with those of the 14 days before it, because opens
and clicks are written into the message later and no filter finds them. The first load goes back to 2012 in windows of
360 days, about the longest the vendor lists. Merged by `id`. Campaigns are one short list.
Delete rule: messages stay. The list of unsubscribed people is replaced as a whole, and refused when it is shorter than
the vendor's own count or than half of the last one: a person who falls off that list would be written to again.
Limits: ten requests a second; 429 names no waiting time.
Run: python -m ingest customerio
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dlt
import pyarrow as pa
from dlt.sources import DltResource
from dlt.sources.rest_api import rest_api_resources

from ingest import configuration, contracts, guards
from ingest.errors import ImplausibleAnswerError, SourceError
from ingest.extraction import Extraction
from ingest.http import Pace, VendorSession
from ingest.rest import TypedPages

TABLES = contracts.load("customerio")
PAGE = 1000
MEMBERS_PAGE = 30_000
# how long after it was created a message may still be opened or clicked, in seconds
LATE_METRICS = dt.timedelta(days=14).total_seconds()
WINDOW = dt.timedelta(days=360).total_seconds()
# the vendor is not older (1 January 2012)
EARLIEST = 1_325_376_000
PARALLEL = 4
UNSUBSCRIBED = "unsubscribed"
# people who subscribe again while the list is read
COUNT_SLACK = 5


@dlt.source(name="customerio", max_table_nesting=0)
def customerio(extraction: Extraction, base_url: str, app_key: str, requests_per_second: int) -> Iterable[DltResource]:
    """Messages, campaigns and the people who do not want any."""
    pace = Pace(requests_per_second, 1.0)
    session = VendorSession(
        "Customer.io",
        base_url,
        pace=lambda _path: pace,
        credentials_hint=configuration.credentials_hint("customerio"),
    )
    session.headers["Authorization"] = f"Bearer {app_key}"
    yield dlt.resource(_messages(extraction, session), parallelized=True, **TABLES["messages"].hints())
    yield dlt.resource(_unsubscribed(extraction, session), parallelized=True, **TABLES["unsubscribed"].hints())
    yield _campaigns(extraction, session)


def _messages(extraction: Extraction, session: VendorSession) -> Callable[[], Iterator[pa.Table]]:
    def messages() -> Iterator[pa.Table]:
        table = extraction.table("messages")
        known: float | None = extraction.known.get("cursor")
        since = EARLIEST if known is None else int(guards.lagged(known, LATE_METRICS))
        seen: list[float] = []
        with ThreadPoolExecutor(PARALLEL) as pool:
            stretches = pool.map(lambda window: list(_pages(session, *window)), _windows(since, extraction.as_of_unix))
            for pages in stretches:
                for records in pages:
                    seen.extend(_created(record) for record in records)
                    table.add(records, "/v1/messages")
                if table.pending:
                    extraction.say(f"messages: {table.extracted:,}")
                    yield table.drain()
        dlt.current.source_state()["cursor"] = guards.advanced_cursor(
            known, (value for value in seen if value), extraction.as_of_unix
        )
        extraction.data_through_at = extraction.as_of

    return messages


def _windows(since: int, until: float) -> list[tuple[int, int | None]]:
    """Stretches of time from `since` on, newest first; the newest one is open, for what arrives while reading."""
    windows: list[tuple[int, int | None]] = []
    end: int | None = None
    upper = int(until)
    while True:
        start = max(since, int(upper - WINDOW))
        windows.append((start, end))
        if start <= since:
            return windows
        # both ends of a window are inclusive; a message on the border is the same message twice
        end = upper = start


def _pages(session: VendorSession, start: int, end: int | None) -> Iterator[list[Any]]:
    """Pages of messages created from `start` to `end`, newest first.

    Raises:
        ImplausibleAnswerError: if a page is no list, or the list goes on without its cursor getting further.
    """
    parameters: dict[str, Any] = {"limit": PAGE, "start_ts": start}
    if end is not None:
        parameters["end_ts"] = end
    cursor = ""
    while True:
        body = session.fetch("/v1/messages", params={**parameters, **({"start": cursor} if cursor else {})})
        records = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(records, list):
            raise ImplausibleAnswerError("Customer.io answers the list of messages with something that is no list.")
        yield records
        following = body.get("next") or ""
        if not following:
            return
        if following == cursor:
            raise ImplausibleAnswerError("Customer.io says there are more messages and does not get further.")
        cursor = following


def _created(record: Any) -> float:
    created = record.get("created") if isinstance(record, dict) else None
    return float(created) if isinstance(created, int | float) and not isinstance(created, bool) else 0.0


def _unsubscribed(extraction: Extraction, session: VendorSession) -> Callable[[], Iterator[pa.Table]]:
    def unsubscribed() -> Iterator[pa.Table]:
        table = extraction.table("unsubscribed")
        segment = _segment_id(session)
        count = session.fetch(f"/v1/segments/{segment}/customer_count").get("count")
        cursor = ""
        while True:
            more = {"start": cursor} if cursor else {}
            body = session.fetch(f"/v1/segments/{segment}/membership", params={"limit": MEMBERS_PAGE, **more})
            records = body.get("identifiers")
            if not isinstance(records, list):
                raise ImplausibleAnswerError("Customer.io answers the members of a segment with something else.")
            table.add(records, "/v1/segments/id/membership")
            following = body.get("next") or ""
            if not following:
                break
            if following == cursor:
                raise ImplausibleAnswerError("Customer.io says a segment has more members and does not get further.")
            cursor = following
        if isinstance(count, int):
            extraction.vendor_totals["unsubscribed"] = count
            guards.require_total("unsubscribed", table.loaded + table.quarantined, count, slack=COUNT_SLACK)
        guards.require_floor(
            "unsubscribed",
            table.loaded,
            extraction.held_rows.get("unsubscribed", 0),
            share=extraction.smallest_share,
        )
        yield table.drain()

    return unsubscribed


def _segment_id(session: VendorSession) -> int:
    """The segment that the vendor keeps of people who unsubscribed.

    Raises:
        SourceError: if the workspace has none: without it nobody's wish not to be written to would be known.
    """
    segments = session.fetch("/v1/segments").get("segments")
    for segment in segments if isinstance(segments, list) else []:
        if not isinstance(segment, dict):
            continue
        if str(segment.get("name", "")).strip().lower() == UNSUBSCRIBED and isinstance(segment.get("id"), int):
            return int(segment["id"])
    raise SourceError(
        "Customer.io has no segment named Unsubscribed; create a data-driven segment of that name (people whose"
        " attribute unsubscribed is true), so that their wish can be respected."
    )


def _campaigns(extraction: Extraction, session: VendorSession) -> DltResource:
    """Campaigns: one page, declared."""
    declared: Any = {
        "client": {"base_url": f"{session.base_url}/v1/", "session": session, "paginator": "single_page"},
        "resources": [
            {
                "endpoint": {"path": "campaigns", "data_selector": "campaigns"},
                "parallelized": True,
                **TABLES["campaigns"].hints(),
            }
        ],
    }
    (resource,) = rest_api_resources(declared)
    return resource.add_step(TypedPages(extraction.table("campaigns"), "/v1/campaigns"))

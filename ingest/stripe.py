"""Billing: Stripe's API v1, objects of API version 2025-03-31.basil.

Data flow: /v1/{customers,subscriptions,invoices,refunds,products,prices,coupons,events} -> raw_stripe.*, nested parts
as JSON. Discounts are expanded, and the charges of refunds, of which the customer is kept; invoices and subscriptions
whose lines or items are cut are completed, and tiered prices get their tiers.
Incremental rule: objects have no change time and lists no change filter. The first load reads the lists whole, in
parallel by ranges of `created`. Later loads read /v1/events from the cursor (newest `created` seen, at most as_of)
minus an hour: an object named by an event newer than the cursor is taken from the event; where the event shows less
than the list (another API version, discounts as ids) or came late, the object is fetched by id. The vendor keeps events
for 30 days: a cursor older than 29 means the lists are read whole again. Products, prices and coupons are short lists,
read whole each time. Everything is merged by `id`.
Delete rule: `customer.deleted` and `invoice.deleted` set `deleted`. Products, prices and coupons that the vendor
deletes stay, because old invoices refer to them; events accumulate for ever.
Run: python -m ingest stripe
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import dlt
import pyarrow as pa
import requests
from dlt.sources import DltResource
from dlt.sources.rest_api import rest_api_resources

from ingest import configuration, contracts, guards
from ingest.errors import ImplausibleAnswerError, VendorRefusalError
from ingest.extraction import Extraction
from ingest.http import Pace, Refusal, Retry, VendorSession, Verdict, Waiting, error_code, judge_by_status, retry_after
from ingest.rest import LastIdPaginator, TypedPages, up_to_last_id

TABLES = contracts.load("stripe")
API_VERSION = "2025-03-31.basil"
PAGE = 100
# requests in flight per list
PARALLEL = 4
# nothing in this API is older (1 January 2010)
EARLIEST = 1_262_304_000
# or newer (1 January 2100)
LATEST = 4_102_444_800
EVENTS_KEPT = dt.timedelta(days=29).total_seconds()
# events that became visible late are looked for this far behind the cursor, in seconds
LAG = 3600.0
CATALOGUE = ("products", "prices", "coupons")
# what the vendor shows on request only: the products that a coupon is limited to
CATALOGUE_PARAMETERS = {"coupons": {"expand[]": "data.applies_to"}}
TABLE_OF_OBJECT = {"customer": "customers", "subscription": "subscriptions", "invoice": "invoices", "refund": "refunds"}
# what a list or a single object has to be asked for beyond its default
LIST_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "subscriptions": {"status": "all", "expand[]": ["data.discounts", "data.items.data.discounts"]},
    "invoices": {"expand[]": ["data.discounts"]},
    # a refund names the charge it was taken from, and only the charge names the customer
    "refunds": {"expand[]": ["data.charge"]},
}
OBJECT_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "subscriptions": {"expand[]": ["discounts", "items.data.discounts"]},
    "invoices": {"expand[]": ["discounts"]},
    "refunds": {"expand[]": ["charge"]},
}
# what is kept of a refund's charge; the rest says who held the card
CHARGE_KEPT = ("id", "object", "customer")

Record = dict[str, Any]
Page = tuple[list[Record], str]


def judge(response: requests.Response, body: Any) -> Verdict:
    """Stripe's signals: `Stripe-Should-Retry` where it is given; it names no time itself, what stands before it may."""
    should_retry = response.headers.get("Stripe-Should-Retry")
    after = retry_after(response)
    if response.status_code >= 300 and should_retry == "true":
        limited = response.status_code == 429
        return Retry(f"answers HTTP {response.status_code}{error_code(body)}", after, limited=limited)
    if response.status_code not in (401, 403) and should_retry == "false" and response.status_code >= 300:
        return Refusal(f"refuses the request with HTTP {response.status_code}{error_code(body)}")
    if response.status_code == 429:
        reason = response.headers.get("Stripe-Rate-Limited-Reason", "rate")
        return Retry(f"asks for fewer requests (HTTP 429, {reason})", after, limited=True)
    return judge_by_status(response, body)


@dlt.source(name="stripe", max_table_nesting=0)
def stripe(extraction: Extraction, base_url: str, api_key: str, requests_per_second: int) -> Iterable[DltResource]:
    """All tables of Stripe: whole lists on the first load, changed objects afterwards."""
    session = _session(base_url, api_key, requests_per_second)
    reading = Reading(extraction, session)
    for name in TABLE_OF_OBJECT.values():
        yield dlt.resource(_objects(reading, name), parallelized=True, **TABLES[name].hints())
    yield dlt.resource(_events(reading), parallelized=True, **TABLES["events"].hints())
    yield from _catalogue(extraction, session)


def _session(base_url: str, api_key: str, requests_per_second: int, waiting: Waiting | None = None) -> VendorSession:
    paces: dict[str, Pace] = {}
    lock = threading.Lock()

    def pace(path: str) -> Pace:
        # the limit is per endpoint: /v1/invoices/in_1 counts with every other single invoice
        parts = path.strip("/").split("/")
        endpoint = "/".join(parts[:2]) + ("/id" if len(parts) > 2 else "")
        with lock:
            return paces.setdefault(endpoint, Pace(requests_per_second, 1.0))

    session = VendorSession(
        "Stripe",
        base_url,
        judge=judge,
        pace=pace,
        credentials_hint=configuration.credentials_hint("stripe"),
        waiting=waiting,
    )
    session.auth = (api_key, "")
    session.headers["Stripe-Version"] = API_VERSION
    return session


def _objects(reading: Reading, name: str) -> Callable[[], Iterator[pa.Table]]:
    def objects() -> Iterator[pa.Table]:
        pages = reading.listed(name) if reading.is_full else reading.changed_objects(name)
        yield from reading.extraction.table(name).typed(pages)
        reading.report(name)

    return objects


def _events(reading: Reading) -> Callable[[], Iterator[pa.Table]]:
    def events() -> Iterator[pa.Table]:
        fresh = reading.new_events()
        yield from reading.extraction.table("events").typed([(fresh, "/v1/events")] if fresh else [])
        dlt.current.source_state().update(reading.next_state())
        reading.extraction.data_through_at = reading.extraction.as_of

    return events


def _catalogue(extraction: Extraction, session: VendorSession) -> Iterator[DltResource]:
    """Products, prices and coupons: short lists, declared."""
    declared: Any = {
        "client": {"base_url": f"{session.base_url}/v1/", "session": session, "paginator": LastIdPaginator()},
        "resources": [
            {
                "endpoint": {
                    "path": name,
                    "params": {"limit": PAGE} | CATALOGUE_PARAMETERS.get(name, {}),
                    "data_selector": "data",
                },
                "parallelized": True,
                **TABLES[name].hints(),
            }
            for name in CATALOGUE
        ],
    }
    for resource in rest_api_resources(declared):
        if resource.name == "prices":
            resource.add_map(lambda price: _with_tiers(session, price))
        yield resource.add_step(TypedPages(extraction.table(resource.name), f"/v1/{resource.name}"))


def _with_tiers(session: VendorSession, price: Any) -> Any:
    """A tiered price with its tiers, which the vendor shows on request only; any other price as it came."""
    if _id(price) is None or price.get("billing_scheme") != "tiered" or price.get("tiers"):
        return price
    return session.fetch(f"/v1/prices/{price['id']}", params={"expand[]": ["tiers"]})


@dataclass(slots=True)
class Reading:
    """One reading of Stripe: the plan made from the last state, and the events that all tables share."""

    extraction: Extraction
    session: VendorSession
    _events: list[Record] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cursor(self) -> float | None:
        """Newest `created` of the events of the last load, in unix seconds."""
        found: float | None = self.extraction.known.get("cursor")
        return found

    @property
    def is_full(self) -> bool:
        """Whether the lists are read whole: at first, and when events since the cursor may have expired."""
        return self.cursor is None or self.extraction.as_of_unix - self.cursor > EVENTS_KEPT

    def listed(self, name: str) -> Iterator[Page]:
        """Every object of a list, complete, in no particular order."""
        for records, location in pages_of(self.session, name, LIST_PARAMETERS.get(name, {}), EARLIEST):
            yield [self.completed(name, record) for record in records], location

    def all_events(self) -> list[Record]:
        """Events from the cursor minus the lag on, or all the vendor has, newest first; read once."""
        with self._lock:
            if self._events is None:
                since = EARLIEST if self.is_full or self.cursor is None else int(guards.lagged(self.cursor, LAG))
                found = [event for page, _ in pages_of(self.session, "events", {}, since) for event in page]
                # events of one second stay in the order the vendor gave them: they come from one chain of pages
                self._events = sorted(found, key=lambda event: -_created(event))
            return self._events

    def new_events(self) -> list[Record]:
        """Events that no earlier load has seen."""
        seen = set() if self.is_full else set(self.extraction.known.get("recent_events", []))
        return [event for event in self.all_events() if _id(event) is None or _id(event) not in seen]

    def changed_objects(self, name: str) -> Iterator[Page]:
        """The newest version of each object of a table that a new event names."""
        taken: set[str] = set()
        shown: list[Record] = []
        to_fetch: list[str] = []
        for event in self.new_events():
            if not isinstance(event, dict):
                continue
            record = (event.get("data") or {}).get("object") if isinstance(event.get("data"), dict) else None
            if not isinstance(record, dict) or TABLE_OF_OBJECT.get(str(record.get("object"))) != name:
                continue
            # an announced invoice has no id yet
            object_id = record.get("id")
            if not isinstance(object_id, str) or object_id in taken:
                continue
            taken.add(object_id)
            if str(event.get("type", "")).endswith(("customer.deleted", "invoice.deleted")):
                shown.append({**record, "deleted": True})
            elif _created(event) <= (self.cursor or 0) or _shows_less(event, record):
                to_fetch.append(object_id)
            else:
                shown.append(record)
        if shown:
            yield [self.completed(name, record) for record in shown], "/v1/events"
        if to_fetch:
            with ThreadPoolExecutor(PARALLEL) as pool:
                fetched = list(pool.map(lambda object_id: self.fetched(name, object_id), to_fetch))
            yield [self.completed(name, record) for record in fetched], f"/v1/{name}/id"

    def fetched(self, name: str, object_id: str) -> Record:
        """One object by id; what is gone by now comes back as a stub that says so."""
        try:
            found: Record = self.session.fetch(f"/v1/{name}/{object_id}", params=OBJECT_PARAMETERS.get(name))
        except VendorRefusalError as refusal:
            if "resource_missing" not in str(refusal):
                raise
            return {"id": object_id, "deleted": True}
        return found

    def completed(self, name: str, record: Any) -> Any:
        """The object with all of its lines or items, of which the vendor embeds ten; a refund's charge in short."""
        if not isinstance(record, dict):
            return record
        if name == "refunds" and isinstance(record.get("charge"), dict):
            return {**record, "charge": {kept: record["charge"].get(kept) for kept in CHARGE_KEPT}}
        inner, path, parameters = {
            "invoices": ("lines", f"/v1/invoices/{record.get('id')}/lines", {}),
            "subscriptions": ("items", "/v1/subscription_items", {"subscription": record.get("id")}),
        }.get(name, ("", "", {}))
        part = record.get(inner)
        if not isinstance(part, dict) or not part.get("has_more") or not isinstance(part.get("data"), list):
            return record
        if _id(record) is None:  # nothing to ask by; the record is set aside for it
            return record
        data: list[Any] = []
        after: str | None = None
        page: Any = part
        while page["has_more"]:
            kept, last_id = up_to_last_id(page["data"], str)
            if last_id in (None, after):
                raise ImplausibleAnswerError(f"Stripe says there are more {inner} of {name} and does not give them.")
            data += kept
            after = last_id
            page = self.session.fetch(path, params={**parameters, "limit": PAGE, "starting_after": after})
        return {**record, inner: {**part, "data": data + page["data"], "has_more": False}}

    def next_state(self) -> dict[str, Any]:
        """Cursor and the ids of the events within the lag behind it, for the next load to know them again."""
        events = [event for event in self.all_events() if isinstance(event, dict)]
        cursor = guards.advanced_cursor(self.cursor, (_created(event) for event in events), self.extraction.as_of_unix)
        recent = [event["id"] for event in events if _id(event) is not None and _created(event) >= cursor - LAG]
        return {"cursor": cursor, "recent_events": recent}

    def report(self, name: str) -> None:
        """Say how far a table has come."""
        self.extraction.say(f"{name}: {self.extraction.table(name).extracted:,} objects")


def _id(record: Any) -> str | None:
    """A record's id, if it has one that can be one."""
    found = record.get("id") if isinstance(record, dict) else None
    return found if isinstance(found, str) and found else None


def _created(event: Any) -> float:
    created = event.get("created") if isinstance(event, dict) else None
    return float(created) if isinstance(created, int | float) else 0.0


def _shows_less(event: Record, record: Record) -> bool:
    """Whether an event's copy of an object lacks something that the list would show."""
    items = record.get("items")
    parts = items.get("data") if isinstance(items, dict) else None
    discounted = [record, *(part for part in parts or [] if isinstance(part, dict))]
    lists = [part.get("discounts") for part in discounted]
    names_its_charge = record.get("object") == "refund" and isinstance(record.get("charge"), str)
    return (
        names_its_charge
        or event.get("api_version") != API_VERSION
        or any(isinstance(item, str) for discounts in lists if isinstance(discounts, list) for item in discounts)
    )


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of a list: created from `first` up to but not including `end`, after the object `after`."""

    first: int
    end: int | None
    after: str | None

    def parameters(self) -> dict[str, Any]:
        """The stretch as the vendor's filters."""
        wanted: dict[str, Any] = {"created[gte]": self.first, "created[lt]": self.end, "starting_after": self.after}
        return {name: value for name, value in wanted.items() if value is not None}


def pages_of(session: VendorSession, name: str, parameters: Mapping[str, Any], since: int) -> Iterator[Page]:
    """All pages of a list from `since` on.

    Lists come newest first and each page needs the one before it, so the rest of a list is halved by `created` whenever
    a thread is free: halves do not need each other.

    Raises:
        ImplausibleAnswerError: if a page is no list, or promises more and does not get further.
    """
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix=f"stripe-{name}") as pool:

        def ask(stretch: Range) -> Any:
            return session.fetch(f"/v1/{name}", params={**parameters, "limit": PAGE, **stretch.parameters()})

        def submit(stretch: Range) -> None:
            asked[pool.submit(ask, stretch)] = stretch

        asked: dict[Future[Any], Range] = {}
        submit(Range(since, None, None))
        try:
            while asked:
                done, _ = wait(asked, return_when=FIRST_COMPLETED)
                for future in done:
                    stretch = asked.pop(future)
                    records, rest = _page(name, future.result(), stretch)
                    for part in _halved(rest, records, split=len(asked) < PARALLEL):
                        submit(part)
                    if records:
                        yield records, f"/v1/{name}"
        finally:
            for future in asked:
                future.cancel()


def _page(name: str, body: Any, stretch: Range) -> tuple[list[Record], Range | None]:
    """The records of an answer and what is left of its stretch."""
    records = body.get("data") if isinstance(body, dict) else None
    if not isinstance(records, list):
        raise ImplausibleAnswerError(f"Stripe answers the list of {name} with something that is no list.")
    if not body.get("has_more"):
        return records, None
    kept, last_id = up_to_last_id(records, str)
    if last_id is None or last_id == stretch.after:
        raise ImplausibleAnswerError(f"Stripe says there are more {name} and does not give them.")
    return kept, Range(stretch.first, stretch.end, last_id)


def _halved(rest: Range | None, records: list[Record], *, split: bool) -> list[Range]:
    """What is left of a stretch, in two halves where that can be told from the page before it.

    Records say themselves when they were created, and one may be wrong: a page whose last record is not its oldest does
    not show where the list stands.
    """
    if rest is None:
        return []
    oldest = _created(records[-1])
    is_told = rest.first < oldest < (rest.end or LATEST) and all(_created(record) >= oldest for record in records)
    middle = int(rest.first + oldest) // 2
    if not split or not is_told or middle == rest.first:
        return [rest]
    return [Range(middle, rest.end, rest.after), Range(rest.first, middle, None)]

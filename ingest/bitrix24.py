"""CRM: a Bitrix24 portal behind an inbound webhook.

Data flow: crm.item.list of leads, deals, contacts and companies, crm.status.list -> raw_bitrix24.*.
Incremental rule: items whose `updatedTime` is not older than the newest one seen minus ten minutes; all items at
first, and again when the portal counts more items than the warehouse can then hold. Pages follow the id (`order` id
ascending, `filter` above the last id, `start` -1), 50 pages to a `batch` request, a command taking the last id of the
one before it. `select` is ['*']: e-mails and phones (`fm`) come no other way. Dictionaries are read whole.
Delete rule: no tombstones. When the portal counts fewer items than the warehouse holds, and every seven days, all
ids are listed; rows whose id is gone are deleted, and items that are not here are read.
Limits: 50 requests, then two a second, a batch counting as one; answered by 503. Run time per method, answered by 429.
Neither names a waiting time, except `operating_reset_at`. The webhook's secret is in its URL, which no message shows.
Run: python -m ingest bitrix24
"""

from __future__ import annotations

import datetime as dt
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import dlt
import pyarrow as pa
import requests
from dlt.sources import DltResource

from ingest import configuration, contracts, guards
from ingest.errors import ImplausibleAnswerError
from ingest.extraction import Extraction
from ingest.http import Pace, Refusal, Retry, VendorSession, Verdict, error_code, judge_by_status
from ingest.rest import up_to_last_id

TABLES = contracts.load("bitrix24")
ENTITY_TYPES = {"leads": 1, "deals": 2, "contacts": 3, "companies": 4}
PAGE = 50
BATCH = 50
# seconds behind the newest change seen from which changes are read again
LAG = 600.0
SWEEP_EVERY = dt.timedelta(days=7).total_seconds()
# items may appear or vanish while they are counted and read
COUNT_SLACK = 20
# the bucket takes 50 requests at once and drains two a second; others share it
PACE = Pace(40, 20.0)

RETRIED = ("QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT", "INTERNAL_SERVER_ERROR", "ERROR_UNEXPECTED_ANSWER")


def judge(response: requests.Response, body: Any) -> Verdict:
    """Bitrix24's signals: an error in the body whatever the status, and errors of single commands of a batch."""
    if not isinstance(body, Mapping):
        if response.status_code < 300:
            return Retry("sends an answer that is no object")
        return judge_by_status(response, body)
    if "error" in body:
        return _verdict(str(body["error"]), response, body)
    result = body.get("result")
    errors = result.get("result_error") if isinstance(result, Mapping) else None
    for problem in errors.values() if isinstance(errors, Mapping) else ():
        code = problem.get("error") if isinstance(problem, Mapping) else problem
        return _verdict(str(code), response, problem)
    return judge_by_status(response, body)


def _verdict(code: str, response: requests.Response, body: Any) -> Verdict:
    shown = error_code({"error": code})
    if code in RETRIED:
        limited = code != "INTERNAL_SERVER_ERROR"
        return Retry(
            f"asks for fewer requests{shown}" if limited else f"fails{shown}", _reset_in(body), limited=limited
        )
    if code != "OVERLOAD_LIMIT" and response.status_code >= 500:
        return Retry(f"answers HTTP {response.status_code}{shown}")
    return Refusal(f"refuses the request with HTTP {response.status_code}{shown}")


def _reset_in(body: Any) -> float | None:
    """Seconds until a method's run time comes back, on the vendor's own clock, where the answer says so."""
    times = body.get("time") if isinstance(body, Mapping) else None
    if not isinstance(times, Mapping):
        return None
    reset, now = times.get("operating_reset_at"), times.get("finish")
    if isinstance(reset, int | float) and isinstance(now, int | float):
        return max(float(reset) - float(now), 0.0)
    return None


@dlt.source(name="bitrix24", max_table_nesting=0)
def bitrix24(extraction: Extraction, webhook_url: str) -> Iterable[DltResource]:
    """Leads, deals, contacts, companies and the portal's dictionaries."""
    session = VendorSession(
        "Bitrix24",
        webhook_url,
        judge=judge,
        pace=lambda _path: PACE,
        credentials_hint=configuration.credentials_hint("bitrix24"),
    )
    portal = Portal(extraction, session)
    for name in ENTITY_TYPES:
        yield dlt.resource(_items(portal, name), parallelized=True, **TABLES[name].hints())
    yield dlt.resource(_statuses(portal), parallelized=True, **TABLES["statuses"].hints())


def _items(portal: Portal, name: str) -> Callable[[], Iterator[pa.Table]]:
    def items() -> Iterator[pa.Table]:
        reading = ItemReading(portal, name)
        yield from reading.changes()
        yield from reading.sweep()
        dlt.current.source_state().setdefault("items", {})[name] = reading.next_state()
        portal.extraction.data_through_at = portal.extraction.as_of
        portal.extraction.say(f"{name}: {portal.extraction.table(name).extracted:,} items")

    return items


def _statuses(portal: Portal) -> Callable[[], Iterator[pa.Table]]:
    def statuses() -> Iterator[pa.Table]:
        body = portal.session.fetch("crm.status.list", body={})
        records = body.get("result")
        if not isinstance(records, list):
            raise ImplausibleAnswerError("Bitrix24 answers the list of dictionaries with something that is no list.")
        yield from portal.extraction.table("statuses").typed([(records, "crm.status.list")])

    return statuses


def _changed_since(cursor: float | None) -> dict[str, str]:
    if cursor is None:
        return {}
    since = dt.datetime.fromtimestamp(guards.lagged(cursor, LAG), dt.UTC)
    return {"filter[>=updatedTime]": since.isoformat(timespec="seconds")}


def _updated_at(record: Any) -> float:
    """A record's change time in unix seconds; not a number when it has none that can be read."""
    try:
        return dt.datetime.fromisoformat(record["updatedTime"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return math.nan


class ItemReading:
    """One reading of one type of items: what changed, what vanished, where the next reading starts."""

    def __init__(self, portal: Portal, name: str) -> None:
        self.portal = portal
        self.extraction = portal.extraction
        self.name = name
        self.table = self.extraction.table(name, keep="last")
        self.known: dict[str, Any] = self.extraction.known.get("items", {}).get(name, {})
        self.held = self.extraction.held_rows.get(name, 0)
        self.total, self.changed = portal.totals(name, self.known.get("cursor"))
        self.is_whole = self.known.get("cursor") is None
        self.extraction.vendor_totals[name] = self.total
        if not self.is_whole and self.total > self.held + self.changed:
            self.extraction.say(f"{name}: the portal counts {self.total:,} and {self.held:,} are here, so all are read")
            self.is_whole = True
        self.seen: list[float] = []
        self.ids: set[int] = set()
        self.swept_at: float | None = self.known.get("swept_at")

    def changes(self) -> Iterator[pa.Table]:
        """Items changed since the cursor, or all of them.

        Raises:
            ImplausibleAnswerError: if a whole list is shorter than the portal's own count.
        """
        filters = {} if self.is_whole else _changed_since(self.known.get("cursor"))
        yield from self._read(filters, self.total if self.is_whole else self.changed)
        if self.is_whole:
            guards.require_total(self.name, len(self.ids), self.total, slack=COUNT_SLACK)

    def sweep(self) -> Iterator[pa.Table]:
        """Removals of rows whose item is gone, and the items that the warehouse lacks, once the ids have been listed.

        Raises:
            ImplausibleAnswerError: if so many would go that the list is not to be believed.
        """
        now = self.extraction.as_of_unix
        is_due = self.swept_at is None or now - self.swept_at >= SWEEP_EVERY
        if not (self.is_whole or is_due or self.held > self.total):
            return
        self.swept_at = now
        # a whole read knows every id already
        listed = self.ids if self.is_whole else self.portal.ids(self.name, self.total) | self.ids
        held = self.extraction.held_keys(self.name) if self.held else set()
        vanished = held - listed
        guards.require_floor(self.name, self.held - len(vanished), self.held, share=self.extraction.smallest_share)
        if vanished:
            self.extraction.say(f"{self.name}: {len(vanished):,} items are gone from the portal")
            yield self.table.removal(vanished)
        if listed - held - self.ids:
            self.extraction.say(f"{self.name}: items are missing here, so all are read")
            yield from self._read({}, self.total)

    def next_state(self) -> dict[str, Any]:
        """Where the next reading starts."""
        moments = (value for value in self.seen if not math.isnan(value))
        cursor = guards.advanced_cursor(self.known.get("cursor"), moments, self.extraction.as_of_unix)
        return {"cursor": cursor, "swept_at": self.swept_at}

    def _read(self, filters: Mapping[str, str], expected: int) -> Iterator[pa.Table]:
        for records in self.portal.pages(self.name, filters, expected):
            self.seen.extend(_updated_at(record) for record in records)
            self.ids.update(record["id"] for record in records if isinstance(record.get("id"), int))
            self.table.add(records, f"crm.item.list of {self.name}")
            if self.table.pending:
                yield self.table.drain()


@dataclass(slots=True)
class Portal:
    """Reading lists of one portal by batches."""

    extraction: Extraction
    session: VendorSession
    _totals: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def totals(self, name: str, cursor: float | None) -> tuple[int, int]:
        """How many items the portal counts: all of a type, and those changed since the cursor."""
        with self._lock:
            if not self._totals:
                self._count_all()
        if cursor is None:
            return self._totals[name], self._totals[name]
        return self._totals[name], self._totals[f"{name}_changed"]

    def _count_all(self) -> None:
        """Count every type, and what changed in it, in one request: this is where `total` can be trusted."""
        known = self.extraction.known.get("items", {})
        commands = {}
        for name in ENTITY_TYPES:
            commands[name] = _command(name, {"select[]": "id"}, start=0)
            changed = _changed_since(known.get(name, {}).get("cursor"))
            commands[f"{name}_changed"] = _command(name, {"select[]": "id", **changed}, start=0)
        totals = self._batch(commands).get("result_total", {})
        if not isinstance(totals, Mapping) or any(not isinstance(totals.get(key), int) for key in commands):
            raise ImplausibleAnswerError("Bitrix24 does not say how many items it has.")
        self._totals = {key: int(totals[key]) for key in commands}

    def pages(
        self, name: str, filters: Mapping[str, str], expected: int, select: str = "*"
    ) -> Iterator[list[dict[str, Any]]]:
        """Pages of a list in the order of ids, as many to a request as `expected` items fill.

        A command takes the last id from the one before it. The first page that is not full is the last one; commands
        behind it had no id to go on from, and what they answered is not looked at.
        """
        last_id = 0
        left = expected
        while True:
            # one page more than expected finds out whether the list goes on
            count = min(max(math.ceil(left / PAGE) + 1, 1), BATCH)
            commands = {}
            for number in range(count):
                after = str(last_id) if number == 0 else f"$result[p{number - 1}][items][{PAGE - 1}][id]"
                parameters = {"select[]": select, "order[id]": "ASC", "filter[>id]": after, **filters}
                commands[f"p{number}"] = _command(name, parameters, start=-1)
            results = self._batch(commands).get("result")
            for number in range(count):
                records = _items_of(results, f"p{number}", name)
                if len(records) < PAGE:
                    yield from [records] if records else []
                    return
                kept, next_id = up_to_last_id(records, int)
                if next_id is None or next_id <= last_id:
                    raise ImplausibleAnswerError(f"Bitrix24 lists {name} and does not get further than id {last_id}.")
                last_id = next_id
                yield kept
                if len(kept) < PAGE:
                    # the commands behind it went on from a record without an id
                    break
            left -= count * PAGE

    def ids(self, name: str, expected: int) -> set[int]:
        """The ids of all items of a type."""
        pages = self.pages(name, {}, expected, select="id")
        found = {record["id"] for records in pages for record in records if isinstance(record.get("id"), int)}
        guards.require_total(name, len(found), expected, slack=COUNT_SLACK)
        return found

    def _batch(self, commands: Mapping[str, str]) -> Mapping[str, Any]:
        """The inner result of a batch; errors of commands were judged with the answer."""
        body = self.session.fetch("batch", body={"halt": 0, "cmd": dict(commands)})
        inner = body.get("result")
        if not isinstance(inner, Mapping):
            raise ImplausibleAnswerError("Bitrix24 answers a batch with something that is no result.")
        return inner


def _items_of(results: Any, key: str, name: str) -> list[dict[str, Any]]:
    result = results.get(key) if isinstance(results, Mapping) else None
    records = result.get("items") if isinstance(result, Mapping) else None
    if not isinstance(records, list) or any(not isinstance(record, dict) for record in records):
        raise ImplausibleAnswerError(f"Bitrix24 answers the list of {name} with something that is no list.")
    return records


def _command(name: str, parameters: Mapping[str, str], *, start: int) -> str:
    """One command of a batch: a method with its parameters as a query string.

    Placeholders of earlier results keep their brackets and dollar sign, or the portal would not see them.
    """
    values = {"entityTypeId": str(ENTITY_TYPES[name]), **parameters, "start": str(start)}
    query = "&".join(f"{quote(key, safe='[]')}={quote(value, safe='$[]')}" for key, value in values.items())
    return f"crm.item.list?{query}"

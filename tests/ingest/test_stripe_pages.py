"""Lists that are read in parallel give what one page after another gives, whatever happens meanwhile.

The sandbox's own Stripe answers in this process, without a network; time passes by sleeping only.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import silos
from silos import DAY, NOW_UNIX

from ingest import rest, stripe
from ingest.errors import ImplausibleAnswerError
from ingest.http import VendorSession, Waiting
from sandbox import serve
from sandbox.accounts.shared import World
from sandbox.faults import Fault, Recorder
from sandbox.limits import Limits
from sandbox.store import Store

# seven pages and a half
ROWS = 750
START = NOW_UNIX - 400 * DAY

DUPLICATES = Fault("stripe", "duplicate_at_page_border", path="/v1/invoices")
TOO_FAST = Fault("stripe", "status", path="/v1/invoices", status=429, retry_after=60, skip=2, times=2)
BROKEN = Fault("stripe", "status", path="/v1/invoices", status=503, skip=3, times=3)

SHAPES: dict[str, Callable[[int], float]] = {
    "spread evenly": lambda n: START + n * 3600,
    "three in each second": lambda n: START + n // 3,
    "two bursts a year apart": lambda n: START + n % 2 * 365 * DAY + n // 40,
    "all in one second": lambda _: START,
}


@dataclass(slots=True)
class FakeTime:
    """Time that passes only by sleeping."""

    now: float = 1000.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:  # several threads sleep
            self.now += seconds


class InProcess(requests.adapters.BaseAdapter):
    """Carries requests to the sandbox's Stripe without a network, one at a time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.app = serve.build_app(world)
        self.before_answer: Callable[[int], None] = lambda _number: None
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answer as the vendor would."""
        parts = urlsplit(str(request.url))
        scope = {
            "type": "http",
            "method": request.method,
            "path": parts.path,
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()],
        }
        recorder = Recorder()
        with self._lock:
            self.before_answer(next(self._numbers))
            asyncio.run(self.app(scope, _nothing, recorder.send))
        answer = requests.Response()
        answer.status_code = recorder.status
        answer.headers.update({name.decode(): value.decode() for name, value in recorder.headers})
        answer._content = recorder.body
        answer.request = request
        return answer

    def close(self) -> None:
        """Nothing to let go of."""


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


@dataclass(slots=True)
class Vendor:
    """Stripe with some invoices, and a session that reads from it."""

    world: World
    adapter: InProcess
    session: VendorSession
    time: FakeTime

    @property
    def store(self) -> Store:
        return self.world.store

    def put(self, *invoices: dict[str, Any], at: float | None = None) -> None:
        """Add invoices; `at` is where the vendor lists them, if not by what they say of themselves."""
        for number, invoice in enumerate(invoices):
            created = invoice["created"] if at is None else at
            self.store.put("stripe.invoices", invoice.get("id", f"hidden_{created}_{number}"), invoice, created)

    def fill(self, created: Callable[[int], float]) -> None:
        silos.put(self.store, "stripe.invoices", [silos.invoice(n, created(n)) for n in range(ROWS)], created="created")

    def in_parallel(self, since: float = stripe.EARLIEST) -> list[Any]:
        return [record for page, _ in stripe.pages_of(self.session, "invoices", {}, int(since)) for record in page]

    def one_after_another(self) -> list[Any]:
        """What the vendor has, by the plainest loop there is."""
        records: list[Any] = []
        while True:
            after = {"starting_after": records[-1]["id"]} if records else {}
            page = self.session.fetch("/v1/invoices", params={"limit": 100, **after})
            records += page["data"]
            if not page["has_more"]:
                return records


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    store = silos.open_store(tmp_path)
    store.set_now(NOW_UNIX)
    store.close()
    world = serve.open_world(tmp_path, limits=Limits.off())
    time = FakeTime()
    session = stripe._session(
        "http://vendor.example/stripe", "rk_test_sandbox", 1_000_000, Waiting(time.clock, time.sleep)
    )
    adapter = InProcess(world)
    session.mount("http://", adapter)
    yield Vendor(world, adapter, session, time)
    world.rows.close()
    world.store.close()


def ids(records: list[Any]) -> list[str]:
    return sorted(record["id"] for record in records)


@pytest.mark.parametrize("since", [START, stripe.EARLIEST], ids=["from the first row", "from before the first row"])
@pytest.mark.parametrize("shape", SHAPES)
def test_parallel_pages_hold_every_row_once(vendor: Vendor, shape: str, since: float) -> None:
    vendor.fill(SHAPES[shape])
    expected = vendor.one_after_another()
    found = vendor.in_parallel(since)
    assert len(expected) == ROWS
    assert ids(found) == ids(expected)
    assert {record["id"]: record for record in found} == {record["id"]: record for record in expected}


def test_nothing_is_left_out_while_the_vendor_misbehaves_and_its_list_grows(vendor: Vendor) -> None:
    """Rows repeated at page borders, 429, 503, and an invoice created before every answer, all in one reading."""
    vendor.fill(SHAPES["spread evenly"])
    expected = ids(vendor.one_after_another())
    vendor.world.faults.add([BROKEN, TOO_FAST, DUPLICATES])
    vendor.adapter.before_answer = lambda number: vendor.put(silos.invoice(9000 + number, NOW_UNIX - 60 + number))
    found = Counter(ids(vendor.in_parallel()))
    new = {name for name in found if name >= "in_009000"}
    assert sorted(found.keys() - new) == expected
    # the list begins where it ended when its first page was asked for
    assert len(new) == 1
    # a row is repeated at the head of one page, and a page has one head
    assert 0 < found.total() - len(found) <= vendor.world.requests.total()
    answers = Counter[int]()
    for (_, _, _, status), times in vendor.world.requests.items():
        answers[status] += times
    assert (answers[429], answers[503]) == (2, 3)
    assert vendor.time.now >= 1060, "a time that the vendor names is waited out"


@pytest.mark.parametrize("nameless", [1, 3], ids=["one", "three in a row"])
def test_a_record_without_an_id_ends_no_list(vendor: Vendor, nameless: int) -> None:
    """At the end of a page, where the next one goes on from: it is there once, and so is everything behind it."""
    vendor.fill(SHAPES["spread evenly"])
    for number in range(nameless):
        at = SHAPES["spread evenly"](ROWS - 101 + nameless) + 60 * (number + 1)
        vendor.put({"object": "invoice", "created": int(at), "customer": f"nobody {number}"}, at=at)
    found = vendor.in_parallel()
    named = [record for record in found if "id" in record]
    assert ids(named) == ids([silos.invoice(n, 0) for n in range(ROWS)])
    assert len(found) - len(named) == nameless


@pytest.mark.parametrize("created", [4_102_444_800, 946_684_800, None, "yesterday", 1e300])
def test_a_record_that_lies_about_its_time_ends_and_repeats_nothing(vendor: Vendor, created: Any) -> None:
    """Where a list is cut in halves depends on the last record of a page, and that may say anything."""
    vendor.fill(SHAPES["spread evenly"])
    for number in (ROWS - 100, ROWS - 200, ROWS - 300):
        vendor.put({**silos.invoice(number, 0), "created": created}, at=SHAPES["spread evenly"](number))
    assert ids(vendor.in_parallel()) == ids([silos.invoice(n, 0) for n in range(ROWS)])


def test_a_short_list_goes_on_behind_a_record_without_an_id() -> None:
    """The declared lists, of products, prices and coupons."""
    paginator = rest.LastIdPaginator()
    answer = requests.Response()
    answer._content = b'{"has_more": true}'
    page: list[Any] = [{"id": "price_1"}, {"id": "price_2"}, {"object": "price"}, None]
    paginator.update_state(answer, page)
    asked = requests.Request("GET", "http://vendor.example")
    paginator.update_request(asked)
    assert asked.params == {"starting_after": "price_2"}
    assert page == [{"id": "price_1"}, {"id": "price_2"}], "what stands behind it begins the next page"
    with pytest.raises(ImplausibleAnswerError, match="there are more"):
        paginator.update_state(answer, [{"object": "price"}])


def test_a_list_that_promises_more_and_gives_nothing_is_refused() -> None:
    with pytest.raises(ImplausibleAnswerError, match="more invoices"):
        stripe._page("invoices", {"data": [], "has_more": True}, stripe.Range(0, None, None))
    with pytest.raises(ImplausibleAnswerError, match="more invoices"):
        stripe._page("invoices", {"data": [{"object": "invoice"}], "has_more": True}, stripe.Range(0, None, None))
    with pytest.raises(ImplausibleAnswerError, match="no list"):
        stripe._page("invoices", {"error": {}}, stripe.Range(0, None, None))

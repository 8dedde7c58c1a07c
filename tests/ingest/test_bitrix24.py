from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import silos
from harness import NOW, Ingest, Vendors, conserved
from silos import DAY, NOW_UNIX

from ingest import bitrix24
from sandbox.store import Store

pytestmark = pytest.mark.usefixtures("vendors")


def put_deals(store: Store, deals: list[dict[str, object]]) -> None:
    silos.put(store, "bitrix24.deals", deals, created="createdTime", updated="updatedTime")


def extracted(result: object, table: str) -> int:
    return next(item.rows_extracted for item in result.tables if item.table_name == table)  # type: ignore[attr-defined]


def batches(vendors: Vendors) -> int:
    return sum(count for (_, _, path, _), count in vendors.requests().items() if path == "/batch")


def test_the_first_load_holds_what_the_portal_has_in_few_requests(
    ingest: Ingest, vendors: Vendors, store: Store
) -> None:
    put_deals(store, [silos.deal(n, NOW_UNIX - 40 * DAY + n) for n in range(100, 5200)])
    result = ingest("bitrix24")
    assert result.ok
    assert conserved(result)
    for name in (*bitrix24.ENTITY_TYPES, "statuses"):
        assert ingest.count(f"raw_bitrix24.{name}") == store.count(f"bitrix24.{name}"), name
    # 5,105 deals are 103 pages of 50, fifty to a batch; the other types take one each, and one counts
    assert batches(vendors) == 3 + 3 + 1
    assert ingest.rows(
        "select uf_crm_account_id, opportunity, updated_time from raw_bitrix24.deals where id = 100"
    ) == [("acc_100", 990.5, dt.datetime.fromtimestamp(NOW_UNIX - 40 * DAY + 100, dt.UTC).replace(tzinfo=None))]


@pytest.mark.parametrize("expected", [0, 60, 2501])
@pytest.mark.parametrize("count", [0, 49, 50, 51, 100, 2500, 2501])
def test_lists_end_where_they_end_whatever_was_expected(
    vendors: Vendors, store: Store, data_dir: Path, count: int, expected: int
) -> None:
    put_deals(store, [silos.deal(1000 + n * 7, NOW_UNIX - 40 * DAY + n) for n in range(1, count + 1)])
    session = bitrix24.VendorSession("Bitrix24", f"{vendors.url}/bitrix24/rest/1/sandboxsecret", judge=bitrix24.judge)
    portal = bitrix24.Portal(bitrix24.Extraction("bitrix24", NOW, data_dir), session)
    ids = [record["id"] for page in portal.pages("deals", {"filter[>companyId]": "5"}, expected) for record in page]
    assert ids == [1000 + n * 7 for n in range(1, count + 1)]


def test_an_item_without_an_id_at_the_end_of_a_page_ends_no_list(vendors: Vendors, data_dir: Path) -> None:
    """The next command would go on from it: it comes once, and so does everything behind it."""
    items: list[dict[str, Any]] = [{"id": number} for number in range(1, 131)]
    items[49:49] = [{"title": "nobody's"}]

    class Answering(bitrix24.VendorSession):
        def fetch(self, _path: str, *, params: Any = None, body: Any = None) -> Any:
            assert params is None
            after, results = 0, {}
            for name, command in body["cmd"].items():
                asked = dict(parse_qsl(command.partition("?")[2]))["filter[>id]"]
                after = int(asked) if asked.isdecimal() else after
                behind = next((position for position, item in enumerate(items) if item.get("id") == after), -1) + 1
                page = items[behind : behind + 50]
                results[name] = {"items": page}
                after = page[-1].get("id", 0) if page else 0
            return {"result": {"result": results}}

    portal = bitrix24.Portal(
        bitrix24.Extraction("bitrix24", NOW, data_dir), Answering("Bitrix24", vendors.url, judge=bitrix24.judge)
    )
    assert [item for page in portal.pages("deals", {}, 131) for item in page] == items


def test_a_second_load_reads_what_changed(ingest: Ingest, store: Store) -> None:
    put_deals(store, [silos.deal(n, NOW_UNIX - 40 * DAY + n * 60) for n in range(100, 400)])
    ingest("bitrix24")
    put_deals(store, [silos.deal(150, NOW_UNIX - 100, stageId="WON")])
    result = ingest("bitrix24")
    assert extracted(result, "deals") < 20
    assert ingest.rows("select stage_id from raw_bitrix24.deals where id = 150") == ["WON"]


def test_a_change_within_the_cursors_own_second_is_not_lost(ingest: Ingest, store: Store) -> None:
    at = NOW_UNIX - 3600
    put_deals(store, [silos.deal(100, at)])
    ingest("bitrix24")
    put_deals(store, [silos.deal(100, at, stageId="WON"), silos.deal(101, at)])
    ingest("bitrix24")
    assert ingest.rows("select id, stage_id from raw_bitrix24.deals where id >= 100 order by id") == [
        (100, "WON"),
        (101, "NEW"),
    ]


def test_a_change_that_becomes_visible_late_is_not_lost(ingest: Ingest, store: Store) -> None:
    put_deals(store, [silos.deal(100, NOW_UNIX - 10)])
    ingest("bitrix24")
    put_deals(store, [silos.deal(1, NOW_UNIX - 400, stageId="LOSE")])
    ingest("bitrix24")
    assert ingest.rows("select stage_id from raw_bitrix24.deals where id = 1") == ["LOSE"]


def test_an_item_from_the_future_moves_no_cursor(ingest: Ingest, store: Store) -> None:
    put_deals(store, [silos.deal(100, 4_102_444_800)])
    ingest("bitrix24")
    put_deals(store, [silos.deal(1, NOW_UNIX - 30, stageId="WON")])
    ingest("bitrix24")
    assert ingest.rows("select stage_id from raw_bitrix24.deals where id = 1") == ["WON"]


def test_items_that_vanish_are_deleted_at_once_when_the_count_tells(ingest: Ingest, store: Store) -> None:
    put_deals(store, [silos.deal(n, NOW_UNIX - 40 * DAY + n * 60) for n in range(100, 160)])
    ingest("bitrix24")
    store.delete("bitrix24.deals", "120")
    assert ingest("bitrix24").ok
    assert ingest.count("raw_bitrix24.deals where id = 120") == 0
    assert ingest.count("raw_bitrix24.deals") == 64


def test_what_the_count_cannot_tell_is_put_right_by_the_weekly_sweep(ingest: Ingest, store: Store) -> None:
    put_deals(store, [silos.deal(50, NOW_UNIX - 3600)])
    ingest("bitrix24")
    # one item is gone there, one row is gone here: both sides count five
    store.delete("bitrix24.deals", "2")
    ingest.change("delete from raw_bitrix24.deals where id = 3")
    store.set_now(NOW_UNIX + 6 * DAY)
    ingest("bitrix24", NOW + dt.timedelta(days=6))
    assert ingest.rows("select id from raw_bitrix24.deals order by 1") == [1, 2, 4, 5, 50]
    store.set_now(NOW_UNIX + 7 * DAY)
    ingest("bitrix24", NOW + dt.timedelta(days=7))
    assert ingest.rows("select id from raw_bitrix24.deals order by 1") == [1, 3, 4, 5, 50]


def test_a_portal_that_suddenly_lists_next_to_nothing_deletes_nothing(ingest: Ingest, store: Store) -> None:
    put_deals(store, [silos.deal(n, NOW_UNIX - 40 * DAY + n * 60) for n in range(100, 160)])
    ingest("bitrix24")
    for number in range(100, 158):
        store.delete("bitrix24.deals", str(number))
    refused = ingest("bitrix24")
    assert "the rows loaded before are kept" in str(refused.error)
    assert ingest.count("raw_bitrix24.deals") == 65


def test_rows_missing_in_the_warehouse_make_the_list_start_over(ingest: Ingest, store: Store) -> None:
    put_deals(store, [silos.deal(n, NOW_UNIX - 40 * DAY + n * 60) for n in range(100, 160)])
    ingest("bitrix24")
    ingest.change("delete from raw_bitrix24.deals where id >= 110")
    ingest("bitrix24")
    assert ingest.count("raw_bitrix24.deals") == 65


def test_a_list_shorter_than_the_portals_own_count_is_refused(
    ingest: Ingest, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_deals(store, [silos.deal(n, NOW_UNIX - 40 * DAY + n * 60) for n in range(100, 200)])
    monkeypatch.setattr("ingest.bitrix24.Portal.pages", lambda *_arguments, **_named: iter([]))
    refused = ingest("bitrix24")
    assert "0 rows where the vendor counts 105" in str(refused.error)


@pytest.mark.usefixtures("impatient")
def test_being_too_fast_is_waited_out(ingest: Ingest, vendors: Vendors, store: Store) -> None:
    vendors.misbehave(vendor="bitrix24", path="/batch", kind="status", status=503, times=2)
    assert ingest("bitrix24").ok
    assert ingest.count("raw_bitrix24.deals") == store.count("bitrix24.deals")


def test_the_secret_of_the_webhook_is_in_no_result(
    ingest: Ingest, vendors: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__BITRIX24__WEBHOOK_URL", f"{vendors.url}/bitrix24/rest/1/nosuchsecret")
    result = ingest("bitrix24")
    assert result.is_misconfigured
    assert "nosuchsecret" not in str(result.error)
    assert "SOURCES__BITRIX24__WEBHOOK_URL" in str(result.error)

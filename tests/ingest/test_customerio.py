from __future__ import annotations

import datetime as dt
import itertools
import json

import pytest
import silos
from harness import NOW, Ingest, Vendors, conserved
from silos import DAY, NOW_UNIX

from ingest import customerio
from sandbox.store import Store

pytestmark = pytest.mark.usefixtures("vendors")


def put_messages(store: Store, messages: list[dict[str, object]]) -> None:
    silos.put(store, "customerio.messages", messages, created="created")


def test_messages_of_all_years_arrive(ingest: Ingest, store: Store) -> None:
    put_messages(store, [silos.message(1000 + n, NOW_UNIX - n * DAY) for n in range(1, 1500)])
    result = ingest("customerio")
    assert result.ok
    assert conserved(result)
    assert ingest.count("raw_customerio.messages") == store.count("customerio.messages")
    assert ingest.count("raw_customerio.campaigns") == 1
    assert ingest.rows("select id from raw_customerio.unsubscribed") == ["usr_0"]


def test_a_second_load_reads_the_recent_messages_again_for_late_opens(
    ingest: Ingest, vendors: Vendors, store: Store
) -> None:
    put_messages(store, [silos.message(1000 + n, NOW_UNIX - n * DAY) for n in range(1, 400)])
    ingest("customerio")
    opened = silos.message(1010, NOW_UNIX - 10 * DAY, metrics={"delivered": 1, "opened": int(NOW_UNIX) - 60})
    put_messages(store, [opened, silos.message(5000, NOW_UNIX - 30)])
    vendors.forget()
    result = ingest("customerio")
    read = next(table.rows_extracted for table in result.tables if table.table_name == "messages")
    assert read == 16, "fifteen of the last two weeks and the new one"
    metrics = ingest.rows("select metrics from raw_customerio.messages where id = 'msg_001010'")[0]
    assert json.loads(metrics)["opened"] == int(NOW_UNIX) - 60
    assert ingest.count("raw_customerio.messages where id = 'msg_005000'") == 1
    assert sum(count for (_, _, path, _), count in vendors.requests().items() if path == "/v1/messages") == 1


def test_a_message_from_the_future_moves_no_cursor(ingest: Ingest, store: Store) -> None:
    silos.put(store, "customerio.messages", [{**silos.message(1, 0), "id": "msg_future", "created": 4_102_444_800}])
    ingest("customerio")
    put_messages(store, [silos.message(5000, NOW_UNIX - 30)])
    ingest("customerio")
    assert ingest.count("raw_customerio.messages where id = 'msg_005000'") == 1


def test_people_who_subscribe_again_leave_the_list(ingest: Ingest, store: Store) -> None:
    silos.put(store, "customerio.customers", [silos.person(n, unsubscribed=True) for n in range(100, 130)])
    ingest("customerio")
    silos.put(store, "customerio.customers", [silos.person(110, unsubscribed=False)])
    ingest("customerio")
    assert ingest.count("raw_customerio.unsubscribed") == 30
    assert ingest.count("raw_customerio.unsubscribed where id = 'usr_110'") == 0


def test_a_sudden_lack_of_unsubscribed_people_is_not_believed(ingest: Ingest, store: Store) -> None:
    silos.put(store, "customerio.customers", [silos.person(n, unsubscribed=True) for n in range(100, 130)])
    ingest("customerio")
    silos.put(store, "customerio.customers", [silos.person(n, unsubscribed=False) for n in range(100, 130)])
    refused = ingest("customerio")
    assert "1 rows where the last good answer had 31" in str(refused.error)
    assert ingest.count("raw_customerio.unsubscribed") == 31


@pytest.mark.usefixtures("store")
def test_a_list_of_unsubscribed_people_shorter_than_the_vendors_count_is_refused(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = customerio.VendorSession.fetch

    def lying(session: customerio.VendorSession, path: str, **arguments: object) -> object:
        return {"count": 900} if path.endswith("customer_count") else honest(session, path, **arguments)

    monkeypatch.setattr(customerio.VendorSession, "fetch", lying)
    assert "1 rows where the vendor counts 900" in str(ingest("customerio").error)


def test_a_workspace_without_the_segment_says_what_to_create(ingest: Ingest, store: Store) -> None:
    store.delete("customerio.segments", "1")
    assert "no segment named Unsubscribed" in str(ingest("customerio").error)


def test_windows_cover_the_past_without_a_gap() -> None:
    windows = customerio._windows(customerio.EARLIEST, NOW_UNIX)
    assert windows[0][1] is None
    assert windows[-1][0] == customerio.EARLIEST
    for newer, older in itertools.pairwise(windows):
        assert older[1] == newer[0]
        assert newer[0] - older[0] <= customerio.WINDOW


@pytest.mark.usefixtures("impatient")
def test_being_too_fast_is_waited_out(ingest: Ingest, vendors: Vendors, store: Store) -> None:
    vendors.misbehave(vendor="customerio", path="/v1/messages", kind="status", status=429, times=2)
    assert ingest("customerio").ok
    assert ingest.count("raw_customerio.messages") == store.count("customerio.messages")


def test_the_day_after_only_recent_messages_are_asked_for(ingest: Ingest, store: Store) -> None:
    put_messages(store, [silos.message(4000, NOW_UNIX - 60)])
    ingest("customerio")
    store.set_now(NOW_UNIX + DAY)
    put_messages(store, [silos.message(5000, NOW_UNIX + 3600)])
    result = ingest("customerio", NOW + dt.timedelta(days=1))
    assert next(table.rows_loaded for table in result.tables if table.table_name == "messages") == 2
    assert ingest.count("raw_customerio.messages where id = 'msg_005000'") == 1

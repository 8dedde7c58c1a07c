from __future__ import annotations

import datetime as dt
import json

import pytest
import silos
from harness import NOW, Ingest, Vendors, conserved
from silos import DAY, NOW_UNIX

from ingest import zendesk
from sandbox.store import Store

pytestmark = pytest.mark.usefixtures("vendors")


def test_the_first_load_holds_what_the_vendor_has(ingest: Ingest, store: Store) -> None:
    tickets = [silos.ticket(n, NOW_UNIX - 40 * DAY + n) for n in range(100, 2600)]
    silos.put(store, "zendesk.tickets", tickets, updated="generated_timestamp")
    silos.put(store, "zendesk.organizations", [silos.organization(n, NOW_UNIX - DAY) for n in range(100, 350)])
    result = ingest("zendesk")
    assert result.ok, result.error
    assert conserved(result)
    for name in ("tickets", "users", "organizations", "satisfaction_ratings"):
        assert ingest.count(f"raw_zendesk.{name}") == store.count(f"zendesk.{name}"), name
    assert json.loads(ingest.rows("select metric_set from raw_zendesk.tickets where id = 1")[0])["reopens"] == 0
    assert ingest.rows("select vendor_total from raw_ops.extract_tables where table_name = 'tickets'") == [2505]


def test_a_second_load_follows_the_cursor(ingest: Ingest, store: Store) -> None:
    ingest("zendesk")
    changed = silos.ticket(2, NOW_UNIX - 90 * DAY, status="solved", generated_timestamp=int(NOW_UNIX - 100))
    silos.put(store, "zendesk.tickets", [changed], updated="generated_timestamp")
    result = ingest("zendesk")
    loaded = {table.table_name: table.rows_extracted for table in result.tables}
    assert (loaded["tickets"], loaded["users"]) == (1, 0)
    assert ingest.rows("select status from raw_zendesk.tickets where id = 2") == ["solved"]


def test_a_later_load_asks_for_changed_organizations_only(ingest: Ingest, store: Store) -> None:
    silos.put(store, "zendesk.organizations", [silos.organization(n, NOW_UNIX - 9 * DAY) for n in range(100, 350)])
    ingest("zendesk")
    changed = {**silos.organization(120, NOW_UNIX - 100), "name": "Renamed"}
    silos.put(store, "zendesk.organizations", [changed], updated="updated_at")
    result = ingest("zendesk")
    assert {table.table_name: table.rows_extracted for table in result.tables}["organizations"] == 1
    assert ingest.rows("select name from raw_zendesk.organizations where id = 120") == ["Renamed"]
    assert ingest.count("raw_zendesk.organizations") == store.count("zendesk.organizations")


def test_organizations_missing_in_the_warehouse_make_the_list_be_read_again(ingest: Ingest, store: Store) -> None:
    silos.put(store, "zendesk.organizations", [silos.organization(n, NOW_UNIX - 9 * DAY) for n in range(100, 350)])
    ingest("zendesk")
    ingest.change("delete from raw_zendesk.organizations where id >= 150")
    ingest("zendesk")
    assert ingest.count("raw_zendesk.organizations") == store.count("zendesk.organizations")


def test_a_change_by_the_system_that_leaves_updated_at_alone_is_seen(ingest: Ingest, store: Store) -> None:
    ingest("zendesk")
    deleted = silos.ticket(3, NOW_UNIX - 90 * DAY + 2, status="deleted", generated_timestamp=int(NOW_UNIX - 100))
    silos.put(store, "zendesk.tickets", [deleted], updated="generated_timestamp")
    ingest("zendesk")
    assert ingest.rows("select status from raw_zendesk.tickets where id = 3") == ["deleted"]


def test_what_the_export_leaves_out_of_the_last_minute_comes_next_time(ingest: Ingest, store: Store) -> None:
    silos.put(store, "zendesk.tickets", [silos.ticket(50, NOW_UNIX - 5)], updated="generated_timestamp")
    ingest("zendesk")
    assert ingest.count("raw_zendesk.tickets where id = 50") == 0
    store.set_now(NOW_UNIX + 120)
    ingest("zendesk", NOW + dt.timedelta(seconds=120))
    assert ingest.count("raw_zendesk.tickets where id = 50") == 1


def test_rows_missing_in_the_warehouse_make_the_export_start_over(ingest: Ingest, store: Store) -> None:
    tickets = [silos.ticket(n, NOW_UNIX - 40 * DAY + n) for n in range(100, 300)]
    silos.put(store, "zendesk.tickets", tickets, updated="generated_timestamp")
    ingest("zendesk")
    ingest.change("delete from raw_zendesk.tickets where id >= 150")
    ingest("zendesk")
    assert ingest.count("raw_zendesk.tickets") == 205


@pytest.mark.usefixtures("store")
def test_an_export_shorter_than_the_vendors_own_count_is_refused(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = zendesk.VendorSession.fetch

    def lying(session: zendesk.VendorSession, path: str, **arguments: object) -> object:
        return {"count": {"value": 5000}} if "count" in path else honest(session, path, **arguments)

    ingest("zendesk")
    monkeypatch.setattr(zendesk.VendorSession, "fetch", lying)
    refused = ingest("zendesk")
    assert "5 rows where the vendor counts 5,000" in str(refused.error)
    assert ingest.count("raw_zendesk.tickets") == 5


def test_ratings_are_read_again_only_as_far_as_they_may_change(ingest: Ingest, store: Store) -> None:
    silos.put(store, "zendesk.satisfaction_ratings", [silos.rating(90, NOW_UNIX - 5 * DAY)], created="created_at")
    ingest("zendesk")
    changed = {**silos.rating(90, NOW_UNIX - 5 * DAY), "score": "bad"}
    silos.put(store, "zendesk.satisfaction_ratings", [changed], created="created_at")
    result = ingest("zendesk")
    assert {table.table_name: table.rows_loaded for table in result.tables}["satisfaction_ratings"] == 1
    assert ingest.rows("select score from raw_zendesk.satisfaction_ratings where id = 90") == ["bad"]


@pytest.mark.usefixtures("impatient")
def test_the_limit_of_exports_is_waited_out(ingest: Ingest, vendors: Vendors, store: Store) -> None:
    vendors.misbehave(
        vendor="zendesk", path="/api/v2/incremental/tickets", kind="status", status=429, retry_after=0.05, times=2
    )
    assert ingest("zendesk").ok
    assert ingest.count("raw_zendesk.tickets") == store.count("zendesk.tickets")


def test_wrong_types_are_set_aside(ingest: Ingest, store: Store) -> None:
    broken = silos.ticket(60, NOW_UNIX - DAY, created_at="the day before")
    silos.put(store, "zendesk.tickets", [broken], updated="generated_timestamp")
    result = ingest("zendesk")
    assert conserved(result)
    assert ingest.quarantined("zendesk") == [("tickets", "60", "created_at is 'the day before', not an ISO 8601 time.")]

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest
import silos
from harness import NOW, Ingest, Vendors, conserved
from silos import DAY, NOW_UNIX

from sandbox.store import Store

LISTS = ("customers", "subscriptions", "invoices", "refunds")

pytestmark = pytest.mark.usefixtures("vendors")


def paths(vendors: Vendors) -> set[str]:
    return {path for vendor, _, path, _ in vendors.requests() if vendor == "stripe"}


def tell(store: Store, number: int, created: float, kind: str, record: dict[str, Any], **changes: Any) -> None:
    """Put an event, as the vendor does when an object changes."""
    silos.put(store, "stripe.events", [silos.stripe_event(number, created, kind, record, **changes)], created="created")


def change(store: Store, name: str, record: dict[str, Any]) -> None:
    silos.put(store, f"stripe.{name}", [record], created="created")


def test_the_first_load_holds_what_the_vendor_has(ingest: Ingest, store: Store) -> None:
    silos.put(
        store, "stripe.invoices", [silos.invoice(n, NOW_UNIX - n * 3600) for n in range(1000, 1450)], created="created"
    )
    result = ingest("stripe")
    assert result.ok
    assert conserved(result)
    for name in (*LISTS, "products", "prices", "events"):
        assert ingest.count(f"raw_stripe.{name}") == store.count(f"stripe.{name}"), name
    assert (
        ingest.rows("select json_extract_string(metadata, '$.account_id') from raw_stripe.customers order by id")[1]
        == "acc_1"
    )
    assert ingest.rows("select distinct typeof(json(lines)) from raw_stripe.invoices") == ["JSON"]


def test_an_unchanged_second_load_reads_events_and_the_catalogue_only(ingest: Ingest, vendors: Vendors) -> None:
    ingest("stripe")
    vendors.forget()
    second = ingest("stripe")
    assert paths(vendors) == {"/v1/events", "/v1/products", "/v1/prices", "/v1/coupons"}
    assert sum(vendors.requests().values()) == 4
    assert {table.table_name for table in second.tables if table.rows_loaded} == {"products", "prices"}


def test_a_tiered_price_is_asked_for_its_tiers(ingest: Ingest, vendors: Vendors, store: Store) -> None:
    plain = {"object": "price", "product": "prod_1", "currency": "usd", "tiers_mode": "graduated", "tiers": None}
    tiered = [{**plain, "id": f"price_{scheme}", "billing_scheme": scheme} for scheme in ("tiered", "per_unit")]
    silos.put(store, "stripe.prices", tiered)
    vendors.forget()
    assert ingest("stripe").ok
    single = [count for (_, _, path, _), count in vendors.requests().items() if path == "/v1/prices/{id}"]
    assert single == [1]
    assert ingest.rows("select billing_scheme from raw_stripe.prices where id = 'price_tiered'") == ["tiered"]


def test_a_refund_says_whose_it_is_and_nothing_else_of_its_charge(ingest: Ingest, store: Store) -> None:
    """In the list and through an event, which names the charge only."""
    for number in (60, 61):
        card = {"billing_details": {"name": "Ada"}, "customer": f"cus_{number:06}"}
        silos.put(store, "stripe.charges", [{"id": f"ch_{number:06}", "object": "charge", **card}])
    change(store, "refunds", silos.refund(60, NOW_UNIX - DAY))
    assert ingest("stripe").ok
    new = silos.refund(61, NOW_UNIX - 60)
    change(store, "refunds", new)
    tell(store, 960, NOW_UNIX - 60, "refund.created", new)
    assert ingest("stripe").ok
    kept = "select id, json(charge) from raw_stripe.refunds where id in ('re_000060', 're_000061') order by id"
    assert [(name, json.loads(charge)) for name, charge in ingest.rows(kept)] == [
        (f"re_{number:06}", {"id": f"ch_{number:06}", "object": "charge", "customer": f"cus_{number:06}"})
        for number in (60, 61)
    ]


def test_changes_come_through_events(ingest: Ingest, vendors: Vendors, store: Store) -> None:
    ingest("stripe")
    renamed = silos.customer(1, NOW_UNIX - 90 * DAY, name="Renamed")
    tell(store, 900, NOW_UNIX - 60, "customer.updated", {**renamed, "name": "Renamed once"})
    tell(store, 901, NOW_UNIX - 30, "customer.updated", renamed)
    new = silos.invoice(777, NOW_UNIX - 40)
    tell(store, 902, NOW_UNIX - 40, "invoice.created", new)
    tell(store, 903, NOW_UNIX - 20, "invoice.upcoming", {**silos.invoice(778, NOW_UNIX), "id": None})
    vendors.forget()
    result = ingest("stripe")
    assert ingest.rows("select name from raw_stripe.customers where id = 'cus_000001'") == ["Renamed"]
    assert ingest.count("raw_stripe.invoices where id = 'in_000777'") == 1
    assert not paths(vendors) & {f"/v1/{name}" for name in LISTS}
    loaded = {table.table_name: table.rows_loaded for table in result.tables}
    assert (loaded["customers"], loaded["invoices"], loaded["events"]) == (1, 1, 4)


def test_two_changes_within_the_cursors_own_second_are_both_kept(ingest: Ingest, store: Store) -> None:
    at = NOW_UNIX - 600
    tell(store, 900, at, "customer.updated", silos.customer(1, at, name="first of the second"))
    ingest("stripe")
    change(store, "customers", silos.customer(1, at, name="last of the second"))
    tell(store, 901, at, "customer.updated", silos.customer(1, at, name="last of the second"))
    tell(store, 902, at, "customer.created", silos.customer(77, at))
    change(store, "customers", silos.customer(77, at))
    ingest("stripe")
    assert ingest.rows("select name from raw_stripe.customers where id = 'cus_000001'") == ["last of the second"]
    assert ingest.count("raw_stripe.customers where id = 'cus_000077'") == 1


def test_an_event_that_shows_up_late_does_not_bring_an_old_version_back(ingest: Ingest, store: Store) -> None:
    newest = silos.customer(1, NOW_UNIX - 90 * DAY, name="newest")
    change(store, "customers", newest)
    tell(store, 901, NOW_UNIX - 60, "customer.updated", newest)
    ingest("stripe")
    tell(store, 900, NOW_UNIX - 1800, "customer.updated", {**newest, "name": "older"})
    ingest("stripe")
    assert ingest.rows("select name from raw_stripe.customers where id = 'cus_000001'") == ["newest"]
    assert ingest.count("raw_stripe.events where id = 'evt_000900'") == 1


def test_an_event_from_the_future_moves_no_cursor(ingest: Ingest, store: Store) -> None:
    tell(store, 900, 4_102_444_800, "customer.updated", silos.customer(1, NOW_UNIX, name="from 2100"))
    ingest("stripe")
    tell(store, 901, NOW_UNIX + 100, "customer.updated", silos.customer(2, NOW_UNIX, name="after"))
    store.set_now(NOW_UNIX + DAY)
    ingest("stripe", NOW + dt.timedelta(days=1))
    assert ingest.rows("select name from raw_stripe.customers where id = 'cus_000002'") == ["after"]


def test_what_an_event_does_not_show_is_fetched(ingest: Ingest, store: Store) -> None:
    discount = {"id": "di_1", "object": "discount", "coupon": {"id": "HALF", "percent_off": 50}}
    discounted = silos.subscription(1, NOW_UNIX - 90 * DAY, discounts=[discount])
    change(store, "subscriptions", discounted)
    tell(store, 900, NOW_UNIX - 60, "customer.subscription.updated", {**discounted, "discounts": ["di_1"]})
    old = silos.subscription(2, NOW_UNIX - 90 * DAY, status="past_due")
    change(store, "subscriptions", old)
    ingest("stripe")
    change(store, "subscriptions", {**old, "status": "canceled"})
    shaped_otherwise = {"id": old["id"], "object": "subscription", "status": "canceled"}
    tell(store, 901, NOW_UNIX + 1, "customer.subscription.deleted", shaped_otherwise, api_version="2020-08-27")
    tell(
        store, 902, NOW_UNIX + 2, "customer.subscription.updated", {**discounted, "discounts": ["di_1"], "quantity": 9}
    )
    store.set_now(NOW_UNIX + 60)
    ingest("stripe", NOW + dt.timedelta(seconds=60))
    coupon = "json_extract_string(discounts, '$[0].coupon.id')"
    assert ingest.rows(f"select {coupon} from raw_stripe.subscriptions where id = 'sub_000001'") == ["HALF"]
    assert ingest.rows("select status, currency from raw_stripe.subscriptions where id = 'sub_000002'") == [
        ("canceled", "usd")
    ]


def test_deleted_customers_are_marked(ingest: Ingest, store: Store) -> None:
    ingest("stripe")
    gone = store.get("stripe.customers", "cus_000003")
    store.delete("stripe.customers", "cus_000003")
    assert gone is not None
    tell(store, 900, NOW_UNIX - 60, "customer.deleted", gone)
    ingest("stripe")
    assert ingest.rows("select name, deleted from raw_stripe.customers where id = 'cus_000003'") == [
        ("Company 3", True)
    ]


def test_all_lines_of_a_long_invoice_arrive(ingest: Ingest, store: Store) -> None:
    change(store, "invoices", silos.invoice(500, NOW_UNIX - DAY, lines=237))
    ingest("stripe")
    found = ingest.rows("select lines from raw_stripe.invoices where id = 'in_000500'")[0]
    assert len({line["id"] for line in json.loads(found)["data"]}) == 237


def test_a_cursor_older_than_the_vendors_memory_reads_the_lists_again(
    ingest: Ingest, vendors: Vendors, store: Store
) -> None:
    ingest("stripe")
    change(store, "customers", silos.customer(1, NOW_UNIX - 90 * DAY, name="changed, and its event forgotten"))
    store.set_now(NOW_UNIX + 40 * DAY)
    vendors.forget()
    ingest("stripe", NOW + dt.timedelta(days=40))
    assert {f"/v1/{name}" for name in LISTS} <= paths(vendors)
    assert ingest.rows("select name from raw_stripe.customers where id = 'cus_000001'") == [
        "changed, and its event forgotten"
    ]


def test_rows_repeated_at_page_borders_are_counted_and_loaded_once(
    ingest: Ingest, vendors: Vendors, store: Store
) -> None:
    silos.put(
        store, "stripe.invoices", [silos.invoice(n, NOW_UNIX - n * 3600) for n in range(1000, 1350)], created="created"
    )
    vendors.misbehave(vendor="stripe", path="/v1/invoices", kind="duplicate_at_page_border")
    result = ingest("stripe")
    assert result.ok
    assert conserved(result)
    assert ingest.count("raw_stripe.invoices") == store.count("stripe.invoices")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["malformed_json", "truncated_body", "reset_after_commit"])
def test_a_broken_answer_now_and_then_changes_nothing(
    ingest: Ingest, vendors: Vendors, store: Store, kind: str
) -> None:
    vendors.misbehave(vendor="stripe", path="/v1/customers", kind=kind, times=2)
    assert ingest("stripe").ok
    assert ingest.count("raw_stripe.customers") == store.count("stripe.customers")


def test_no_answer_now_and_then_changes_nothing(
    ingest: Ingest, vendors: Vendors, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class UntilBothWereHit(SimpleNamespace):
        """Gives up soon on whatever comes too late, until there is nothing more that never comes."""

        @property
        def read_timeout(self) -> float:
            return 0.3 if vendors.hits() < 2 else 60.0

    patience = UntilBothWereHit(attempts=50, limited_attempts=4, base=0.001, cap=0.001, connect_timeout=60.0)
    monkeypatch.setattr("ingest.http.Patience", lambda: patience)
    vendors.misbehave(vendor="stripe", path="/v1/customers", kind="timeout", times=2)
    assert ingest("stripe").ok
    assert vendors.hits() == 2
    assert ingest.count("raw_stripe.customers") == store.count("stripe.customers")


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_stays_broken_fails_the_source_and_loads_nothing(
    ingest: Ingest, vendors: Vendors, store: Store
) -> None:
    ingest("stripe")
    change(store, "products", {"id": "prod_2", "object": "product", "name": "new", "active": True, "created": 2})
    vendors.misbehave(vendor="stripe", path="/v1/prices", kind="malformed_json")
    result = ingest("stripe")
    assert result.error == "Stripe sends an answer that is no JSON at /v1/prices, 4 times in a row."
    assert ingest.count("raw_stripe.products") == 1
    vendors.behave()
    assert ingest("stripe").ok
    assert ingest.count("raw_stripe.products") == 2


def test_records_of_the_wrong_shape_are_set_aside_and_counted(ingest: Ingest, store: Store) -> None:
    change(store, "refunds", {**silos.refund(50, NOW_UNIX - DAY), "amount": "a lot"})
    change(store, "customers", silos.customer(51, NOW_UNIX - DAY, email={"to": "x"}))
    result = ingest("stripe")
    assert conserved(result)
    assert ingest.quarantined("stripe") == [
        ("customers", "cus_000051", "email is an object, not a text."),
        ("refunds", "re_000050", "amount is 'a lot', not a whole number of 64 bits."),
    ]
    counts = ingest.rows(
        "select rows_extracted, rows_loaded, rows_quarantined, rows_deduplicated from raw_ops.extract_tables"
        " where table_name = 'customers'"
    )
    assert counts == [(6, 5, 1, 0)]


def test_records_that_cannot_be_asked_for_by_id_are_set_aside_for_it(ingest: Ingest, store: Store) -> None:
    odd = silos.stripe_event(90, NOW_UNIX - DAY, "customer.updated", silos.customer(1, NOW_UNIX - DAY))
    store.put("stripe.events", "evt_odd", {**odd, "id": {"a": 1}}, NOW_UNIX - DAY, NOW_UNIX - DAY)
    price = {"object": "price", "product": "prod_1", "billing_scheme": "tiered", "currency": "usd", "created": 1}
    store.put("stripe.prices", "price_odd", price, 1.0, 1.0)
    cut = {**silos.invoice(60, NOW_UNIX - DAY), "lines": {"object": "list", "data": [{"id": "il_1"}], "has_more": True}}
    cut.pop("id")
    store.put("stripe.invoices", "in_odd", cut, NOW_UNIX - DAY, NOW_UNIX - DAY)
    wanted = [
        ("events", "", "id is an object, not a text."),
        *((name, "", "id is missing.") for name in ("invoices", "prices")),
    ]
    for _ in range(2):
        result = ingest("stripe")
        assert (result.error, conserved(result)) == (None, True)
        assert ingest.quarantined("stripe") == wanted


def test_a_wrong_key_names_its_setting(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__STRIPE__API_KEY", "rk_wrong_key")
    result = ingest("stripe")
    assert result.is_misconfigured
    assert "SOURCES__STRIPE__API_KEY" in str(result.error)
    assert "rk_wrong" not in str(result.error)

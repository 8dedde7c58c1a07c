from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
import stripe

if TYPE_CHECKING:
    from .conftest import Sandbox

NOW = 1_793_512_800
DAY = 86_400


def ids(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


def error(answer: requests.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_a_page_has_ten_rows_unless_asked_otherwise_and_comes_newest_first(sandbox: Sandbox) -> None:
    answer = sandbox.stripe("/v1/customers")
    body = answer.json()
    assert ids(answer) == [f"cus_{i:04}" for i in range(249, 239, -1)]
    assert (body["object"], body["has_more"], body["url"]) == ("list", True, "/v1/customers")


@pytest.mark.parametrize(("limit", "status"), [(0, 400), (1, 200), (100, 200), (101, 400), ("ten", 400)])
def test_the_limit_of_a_page_is_1_to_100(sandbox: Sandbox, limit: object, status: int) -> None:
    answer = sandbox.stripe("/v1/customers", ("limit", limit))
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["param"] == "limit"


def test_paging_forwards_gives_every_customer_once_although_seconds_are_shared(sandbox: Sandbox) -> None:
    seen: list[str] = []
    query = [("limit", "37")]
    while True:
        answer = sandbox.stripe("/v1/customers", *query)
        seen += ids(answer)
        if not answer.json()["has_more"]:
            break
        query = [("limit", "37"), ("starting_after", seen[-1])]
    assert seen == [f"cus_{i:04}" for i in range(249, -1, -1)]


def test_ending_before_gives_the_page_just_before_still_newest_first(sandbox: Sandbox) -> None:
    answer = sandbox.stripe("/v1/customers", ("limit", 3), ("ending_before", "cus_0100"))
    assert ids(answer) == ["cus_0103", "cus_0102", "cus_0101"]
    assert answer.json()["has_more"] is True


def test_the_two_cursors_exclude_each_other_and_must_exist(sandbox: Sandbox) -> None:
    both = sandbox.stripe("/v1/customers", ("starting_after", "cus_0001"), ("ending_before", "cus_0005"))
    assert "only specify one" in error(both, 400)["message"]
    missing = sandbox.stripe("/v1/customers", ("starting_after", "cus_nope"))
    assert error(missing, 400)["code"] == "resource_missing"


def test_created_filters_are_inclusive_or_exclusive_as_named(sandbox: Sandbox) -> None:
    first = NOW - 300 * DAY
    window = [("status", "all"), ("created[gte]", first + 5), ("created[lt]", first + 8)]
    assert ids(sandbox.stripe("/v1/subscriptions", *window)) == ["sub_007", "sub_006", "sub_005"]
    window = [("status", "all"), ("created[gt]", first + 5), ("created[lte]", first + 8)]
    assert ids(sandbox.stripe("/v1/subscriptions", *window)) == ["sub_008", "sub_007", "sub_006"]
    assert error(sandbox.stripe("/v1/customers", ("created[since]", 1)), 400)["code"] == "parameter_unknown"


def test_canceled_subscriptions_are_listed_only_when_asked_for(sandbox: Sandbox) -> None:
    def statuses(*query: tuple[str, str]) -> set[str]:
        rows = sandbox.stripe("/v1/subscriptions", ("limit", "100"), *query).json()["data"]
        return {row["status"] for row in rows}

    assert statuses() == {"active", "trialing", "past_due"}
    assert statuses(("status", "all")) == {"active", "trialing", "past_due", "canceled"}
    assert statuses(("status", "past_due")) == {"past_due"}
    assert error(sandbox.stripe("/v1/subscriptions", ("status", "dead")), 400)["param"] == "status"


def test_unknown_parameters_and_paths_are_refused(sandbox: Sandbox) -> None:
    refused = error(sandbox.stripe("/v1/customers", ("updated[gte]", 1)), 400)
    assert refused["code"] == "parameter_unknown"
    assert refused["param"] == "updated[gte]"
    assert "Unrecognized request URL (GET: /v1/nothing)" in error(sandbox.stripe("/v1/nothing"), 404)["message"]


def test_discounts_are_ids_until_expanded(sandbox: Sandbox) -> None:
    query = [("customer", "cus_0000")]
    plain = sandbox.stripe("/v1/subscriptions", *query).json()["data"][0]
    assert plain["discounts"] == ["di_1"]
    shown = sandbox.stripe("/v1/subscriptions", *query, ("expand[]", "data.discounts")).json()["data"][0]
    assert shown["discounts"][0]["coupon"]["percent_off"] == 20.0
    single = sandbox.stripe("/v1/subscriptions/sub_000", ("expand[]", "discounts")).json()
    assert single["discounts"][0]["id"] == "di_1"


def test_the_products_of_a_coupon_are_shown_on_request(sandbox: Sandbox) -> None:
    def products(*query: tuple[str, str]) -> dict[str, object]:
        rows = sandbox.stripe("/v1/coupons", *query).json()["data"]
        return {row["id"]: row.get("applies_to") for row in rows}

    assert products() == {"LIMITED": None, "OPEN": None}
    assert products(("expand[]", "data.applies_to")) == {"LIMITED": {"products": ["prod_1"]}, "OPEN": None}


def test_ids_expand_to_objects_at_most_four_levels_deep(sandbox: Sandbox) -> None:
    refund = sandbox.stripe("/v1/refunds", ("expand[]", "data.charge")).json()["data"][0]
    assert refund["charge"]["amount"] == 1900
    deep = sandbox.stripe("/v1/refunds", ("expand[]", "data.charge.customer")).json()["data"][0]
    assert deep["charge"]["customer"]["email"] == "u0@acme.example"
    nested = sandbox.stripe("/v1/subscriptions/sub_000", ("expand[]", "items.data.price.product")).json()
    assert nested["items"]["data"][0]["price"]["product"]["object"] == "product"
    too_deep = sandbox.stripe("/v1/subscriptions", ("expand[]", "data.items.data.price.product"))
    assert "more than 4 levels" in error(too_deep, 400)["message"]
    assert "'data.charge'" in error(sandbox.stripe("/v1/refunds", ("expand[]", "charge")), 400)["message"]
    assert "cannot be expanded" in error(sandbox.stripe("/v1/refunds", ("expand[]", "data.amount")), 400)["message"]


def test_an_invoice_shows_ten_lines_and_the_rest_on_its_own_list(sandbox: Sandbox) -> None:
    lines = sandbox.stripe("/v1/invoices/in_0").json()["lines"]
    assert (len(lines["data"]), lines["has_more"], lines["total_count"]) == (10, True, 14)
    exactly_ten = sandbox.stripe("/v1/invoices/in_1").json()["lines"]
    assert (len(exactly_ten["data"]), exactly_ten["has_more"]) == (10, False)
    rest = sandbox.stripe("/v1/invoices/in_0/lines", ("starting_after", "il_0_9"))
    assert ids(rest) == [f"il_0_{n}" for n in range(10, 14)]
    assert rest.json()["has_more"] is False
    listed = sandbox.stripe("/v1/invoices", ("subscription", "sub_000")).json()["data"]
    assert [len(row["lines"]["data"]) for row in listed] == [2, 10, 10]


def test_a_deleted_object_is_a_stub_that_no_list_shows(sandbox: Sandbox) -> None:
    assert sandbox.stripe("/v1/customers/cus_gone").json() == {"id": "cus_gone", "object": "customer", "deleted": True}
    assert "cus_gone" not in ids(sandbox.stripe("/v1/customers", ("limit", 100)))
    missing = error(sandbox.stripe("/v1/customers/cus_never"), 404)
    assert (missing["code"], missing["message"]) == ("resource_missing", "No such customer: 'cus_never'")


def test_events_go_back_thirty_days_and_filter_by_type(sandbox: Sandbox) -> None:
    everything = ids(sandbox.stripe("/v1/events", ("limit", 100)))
    assert everything == [f"evt_{i:02}" for i in range(31)]
    assert sandbox.stripe("/v1/events/evt_31").status_code == 404
    some = sandbox.stripe("/v1/events", ("limit", 100), ("types[]", "invoice.paid"), ("types[]", "customer.updated"))
    assert {row["type"] for row in some.json()["data"]} == {"invoice.paid"}
    by_family = sandbox.stripe("/v1/events", ("limit", 100), ("type", "customer.subscription.*"))
    assert len(by_family.json()["data"]) == 21


def test_the_account_limit_answers_429_with_its_reason_and_without_retry_after(sandbox: Sandbox) -> None:
    sandbox.limit(stripe_per_second=3)
    answers = [sandbox.stripe(path) for path in ("/v1/customers", "/v1/events", "/v1/prices", "/v1/refunds")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert "Retry-After" not in refused.headers
    assert refused.json()["error"]["code"] == "rate_limit"
    sandbox.clock.seconds += 1.01
    assert sandbox.stripe("/v1/refunds").status_code == 200


def test_one_endpoint_has_its_own_limit(sandbox: Sandbox) -> None:
    sandbox.limit(stripe_endpoint_per_second=2)
    answers = [sandbox.stripe("/v1/customers") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert sandbox.stripe("/v1/prices").status_code == 200


def test_every_answer_names_its_request_and_the_version_it_is_written_in(sandbox: Sandbox) -> None:
    answers = [sandbox.stripe("/v1/prices"), sandbox.stripe("/v1/nothing")]
    assert {answer.headers["Stripe-Version"] for answer in answers} == {"2025-03-31.basil"}
    assert len({answer.headers["Request-Id"] for answer in answers}) == 2


def test_wrong_and_missing_keys_get_401_and_a_read_only_key_cannot_write(sandbox: Sandbox) -> None:
    address = f"{sandbox.url}/stripe/v1/customers"
    wrong = requests.get(address, auth=("rk_test_of_somebody_else", ""), timeout=60)
    assert error(wrong, 401)["message"].startswith("Invalid API Key provided: rk_test_*")
    assert "of_somebody" not in wrong.text
    assert "You did not provide an API key" in error(requests.get(address, timeout=60), 401)["message"]
    bearer = requests.get(address, headers={"Authorization": "Bearer rk_test_sandbox"}, timeout=60)
    assert bearer.status_code == 200
    written = requests.post(address, auth=("rk_test_sandbox", ""), timeout=60)
    assert "does not have the required permissions" in error(written, 403)["message"]


def test_the_official_client_pages_filters_and_raises_its_own_errors(sandbox: Sandbox) -> None:
    def client(key: str) -> stripe.StripeClient:
        return stripe.StripeClient(key, base_addresses={"api": f"{sandbox.url}/stripe"}, max_network_retries=0)

    official = client("rk_test_sandbox")
    page = official.v1.customers.list(params={"limit": 100})
    assert len(list(page.auto_paging_iter())) == 250
    subscriptions = official.v1.subscriptions.list(
        params={"status": "all", "limit": 100, "expand": ["data.discounts"], "created": {"gte": NOW - 300 * DAY + 38}}
    )
    assert [row.id for row in subscriptions.data] == ["sub_039", "sub_038"]
    assert official.v1.invoices.line_items.list("in_0", params={"limit": 100}).data[-1].id == "il_0_13"
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        official.v1.customers.retrieve("cus_never")
    with pytest.raises(stripe.AuthenticationError):
        client("rk_test_wrong").v1.customers.list()
    sandbox.limit(stripe_per_second=1)
    official.v1.prices.list()
    with pytest.raises(stripe.RateLimitError):
        official.v1.prices.list()

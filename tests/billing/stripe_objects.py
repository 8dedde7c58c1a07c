"""Stripe-shaped objects from the short stories of `vectors.yml`, and their way into a warehouse.

A story says what the vendor's objects say (a subscription's items and times, an invoice's lines); here the fields that
every such object has are filled in. Nothing is computed that a model under test computes: an amount that is not written
is unit price x quantity, as the vendor would bill a full period.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ingest import contracts
from ingest.quarantine import Quarantine
from ingest.typed import TypedTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

Object = dict[str, Any]
API_VERSION = "2025-03-31.basil"
LONG_AGO = dt.datetime(2025, 5, 2)  # noqa: DTZ001 - stories are written in UTC


class Vendor:
    """Everything the vendor would list, by table of raw_stripe."""

    def __init__(self, catalogue: Mapping[str, Mapping[str, Any]], coupons: Mapping[str, Mapping[str, Any]]) -> None:
        self.objects: dict[str, list[Object]] = defaultdict(list)
        self._prices = {name: self._price(name, story) for name, story in catalogue.items()}
        self._coupons = {name: {"object": "coupon", "id": name, **story} for name, story in coupons.items()}
        for coupon in self._coupons.values():
            self.objects["coupons"].append({**coupon, "created": _unix(LONG_AGO), "valid": True})
        for plan in sorted({str(story.get("plan", "team")) for story in catalogue.values()}):
            product = {"id": f"prod_{plan}", "object": "product", "name": plan, "metadata": {"plan": plan}}
            self.objects["products"].append({**product, "active": True, "created": _unix(LONG_AGO)})
        self.objects["prices"] += self._prices.values()

    def tell(self, name: str, story: Mapping[str, Any]) -> str:
        """Add one customer with what the story says of it; its Stripe id."""
        customer = f"cus_{name}"
        self.objects["customers"].append(
            {
                "id": customer,
                "object": "customer",
                "email": f"owner@{name.replace('_', '-')}.example",
                "name": f"Company {name}",
                "created": _unix(LONG_AGO),
                "discount": self._discount(customer, story["discount"]) if "discount" in story else None,
                "metadata": {},
            }
        )
        for subscription in story["subscriptions"]:
            self._tell_subscription(customer, f"{name}_{subscription.get('id', 'a')}", subscription)
        return customer

    def _tell_subscription(self, customer: str, name: str, story: Mapping[str, Any]) -> None:
        present = self._subscription(customer, name, story)
        if not story.get("is_gone"):
            self.objects["subscriptions"].append(present)
        for invoice in story.get("invoices", ()):
            self.objects["invoices"].append(self._invoice(customer, name, invoice))
        for refund in story.get("refunds", ()):
            self.objects["refunds"].append(
                {
                    "id": f"re_{name}_{_unix(refund['at'])}",
                    "object": "refund",
                    "amount": refund["amount"],
                    "charge": {"id": f"ch_{name}_{_unix(refund['at'])}", "object": "charge", "customer": customer},
                    "created": _unix(refund["at"]),
                    "currency": present["currency"],
                    "status": refund.get("status", "succeeded"),
                    "metadata": {},
                }
            )
        for event in story.get("events", ()):
            shown = self._subscription(customer, name, {**story, **event.get("shows", {})})
            self.objects["events"].append(
                {
                    "id": f"evt_{name}_{_unix(event['at'])}",
                    "object": "event",
                    "type": f"customer.subscription.{event.get('type', 'updated')}",
                    "api_version": API_VERSION,
                    "created": _unix(event["at"]),
                    "data": {"object": shown},
                }
            )

    def _subscription(self, customer: str, name: str, story: Mapping[str, Any]) -> Object:
        items = [
            {
                "id": f"si_{name}_{item}",
                "object": "subscription_item",
                "price": self._prices[price],
                "quantity": quantity,
                "current_period_end": _unix(story.get("period_end")),
                "discounts": [
                    self._discount(customer, each, f"sub_{name}", f"si_{name}_{item}")
                    for each in story.get("item_discounts", {}).get(item, ())
                ],
            }
            for item, (price, quantity) in story["items"].items()
        ]
        first_price = self._prices[next(iter(story["items"].values()))[0]]
        trial_start, trial_end = story.get("trial", (None, None))
        return {
            "id": f"sub_{name}",
            "object": "subscription",
            "customer": customer,
            "status": story.get("status", "active"),
            "currency": first_price["currency"],
            "created": _unix(story["start"]),
            "start_date": _unix(story["start"]),
            "cancel_at_period_end": story.get("cancel_at_period_end", False),
            "canceled_at": _unix(story.get("cancelled")),
            "ended_at": _unix(story.get("ended")),
            "trial_start": _unix(trial_start),
            "trial_end": _unix(trial_end),
            "collection_method": "charge_automatically",
            "pause_collection": story.get("pause_collection"),
            "items": {"object": "list", "data": items, "has_more": False},
            "discounts": [self._discount(customer, each, f"sub_{name}") for each in story.get("discounts", ())],
            "metadata": {},
        }

    def _invoice(self, customer: str, subscription: str, story: Mapping[str, Any]) -> Object:
        name = f"{subscription}_{_unix(story['at'])}"
        lines = [
            self._line(f"il_{name}_{position}", subscription, line) for position, line in enumerate(story["lines"])
        ]
        total = sum(line["amount"] for line in lines)
        created = _unix(story["at"])
        is_paid = story.get("status", "paid") == "paid"
        return {
            "id": f"in_{name}",
            "object": "invoice",
            "customer": customer,
            "number": name,
            "status": story.get("status", "paid"),
            "currency": self._prices[story["lines"][0]["price"]]["currency"],
            "billing_reason": story.get("reason", "subscription_cycle"),
            "created": created,
            "subtotal": total,
            "total": total,
            "total_excluding_tax": total,
            "amount_due": max(total, 0),
            "amount_paid": max(total, 0) if is_paid else 0,
            "amount_remaining": 0 if is_paid else max(total, 0),
            "attempt_count": story.get("attempts", 1),
            "attempted": True,
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": f"sub_{subscription}"},
            },
            "lines": {"object": "list", "data": lines, "has_more": False},
            "discounts": [self._discount(customer, each, f"sub_{subscription}") for each in story.get("discounts", ())],
            "status_transitions": {
                "finalized_at": created,
                "paid_at": _unix(story.get("paid", story["at"])) if is_paid else None,
                "voided_at": None,
                "marked_uncollectible_at": None,
            },
            "metadata": {},
        }

    def _line(self, line_id: str, subscription: str, story: Mapping[str, Any]) -> Object:
        price = self._prices[story["price"]]
        quantity = story.get("quantity", 1)
        begins, ends = story["period"]
        return {
            "id": line_id,
            "object": "line_item",
            "amount": story.get("amount", (price["unit_amount"] or 0) * quantity),
            "currency": price["currency"],
            "quantity": quantity,
            "period": {"start": _unix(begins), "end": _unix(ends)},
            "pricing": {"price_details": {"price": price["id"], "product": price["product"]}},
            "parent": {
                "type": "subscription_item_details",
                "subscription_item_details": {
                    "subscription": f"sub_{subscription}",
                    "subscription_item": f"si_{subscription}_{story.get('item', 'seat')}",
                    "proration": story.get("proration", False),
                },
            },
            "discounts": [],
        }

    def _discount(
        self, customer: str, story: Mapping[str, Any], subscription: str | None = None, item: str | None = None
    ) -> Object:
        # the products that a coupon is limited to are shown in the list of coupons only
        coupon = {name: value for name, value in self._coupons[story["coupon"]].items() if name != "applies_to"}
        return {
            "id": f"di_{item or subscription or customer}_{story['coupon']}",
            "object": "discount",
            "coupon": coupon,
            "customer": customer,
            "subscription": subscription,
            "subscription_item": item,
            "start": _unix(story["start"]),
            "end": _unix(story.get("end")),
        }

    def _price(self, name: str, story: Mapping[str, Any]) -> Object:
        amount = story.get("unit_amount")
        return {
            "id": f"price_{name}",
            "object": "price",
            "product": f"prod_{story.get('plan', 'team')}",
            "active": True,
            "currency": story.get("currency", "usd"),
            "unit_amount": amount,
            "unit_amount_decimal": None if amount is None else str(amount),
            "type": "recurring",
            "billing_scheme": "tiered" if "tiers" in story else "per_unit",
            "tiers_mode": story.get("tiers_mode"),
            "tiers": story.get("tiers"),
            "transform_quantity": story.get("transform_quantity"),
            "recurring": {
                "interval": story.get("interval", "month"),
                "interval_count": story.get("interval_count", 1),
                "usage_type": story.get("usage_type", "licensed"),
            },
            "created": _unix(LONG_AGO),
            "metadata": {},
        }


def load(connection: duckdb.DuckDBPyConnection, objects: Mapping[str, list[Object]], load_id: str) -> None:
    """Objects into raw_stripe through the project's own typing, replacing those of the same id as a load does.

    Raises:
        AssertionError: if an object is set aside: a story must be something the vendor could say.
    """
    quarantine = Quarantine("stripe")
    for name, contract in contracts.load("stripe").items():
        table = TypedTable(contract, quarantine)
        for typed in table.typed(_pages(name, objects.get(name, []))):
            connection.register("arrived", typed.select(list(contract.columns)))
            connection.execute(f"delete from raw_stripe.{name} where id in (select id from arrived)")
            connection.execute(
                f"insert into raw_stripe.{name} by name select *, ? as _dlt_load_id from arrived", [load_id]
            )
            connection.unregister("arrived")
    assert not quarantine.rejected, quarantine.rejected


def _pages(name: str, records: list[Object]) -> Iterator[tuple[list[Object], str]]:
    if records:
        yield records, f"/v1/{name}"


def _unix(moment: dt.datetime | dt.date | None) -> int | None:
    if moment is None:
        return None
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.combine(moment, dt.time())
    return int(moment.replace(tzinfo=dt.UTC).timestamp())

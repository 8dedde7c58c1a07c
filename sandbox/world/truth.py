"""What is really so: written beside the silos, for scoring. The pipeline never reads it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sandbox.world.catalog import (
    CHANNEL_NAMES,
    CHANNELS,
    COUPONS,
    CURRENCIES,
    MINOR_UNITS,
    PLANS,
    TIME_ZONES,
    USD_PER_UNIT,
    unit_amount,
)  # fmt: skip
from sandbox.world.changes import churn_hazards
from sandbox.world.dates import date_text, day_start, is_last_day_of_month, utc
from sandbox.world.invoices import discount_in_force
from sandbox.world.parameters import DAYS_PER_MONTH, NEVER
from sandbox.world.state import Edge
from sandbox.world.usage import engagement

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.world.day import Day
    from sandbox.world.state import World

GROSS_MARGIN = 0.8
HORIZON_MONTHS = 24


def recurring(day: Day, subscription: int, at: float) -> tuple[float, float]:
    """Monthly recurring revenue of a subscription just before an instant: contract and net, in major units.

    Trials and pauses count nothing; `once` coupons do not lower it; an amount off never makes it negative.
    """
    row = day.world.subscriptions
    if row.status[subscription] not in ("active", "past_due") or row.paused[subscription]:
        return 0.0, 0.0
    currency = CURRENCIES[int(row.currency[subscription])]
    interval = int(row.interval[subscription])
    months = 12 if interval else 1
    contract = unit_amount(int(row.plan[subscription]), interval, currency) * int(row.quantity[subscription]) / months
    net = contract
    if discount_in_force(day, subscription, at - 1):
        coupon = COUPONS[int(row.coupon[subscription])]
        if coupon.duration != "once":
            net = contract * (1 - (coupon.percent_off or 0) / 100) - (coupon.amount_off or 0) / months
    return contract / MINOR_UNITS[currency], max(net, 0.0) / MINOR_UNITS[currency]


def note_month(day: Day) -> None:
    """On the last day of a month: what every account pays, its engagement and its true hazard."""
    if not is_last_day_of_month(day.number):
        return
    world = day.world
    row = world.subscriptions
    level, hazard = engagement(day), churn_hazards(day)
    sums: dict[int, list[float]] = {}
    newest: dict[int, int] = {}
    for subscription in range(len(row)):
        account = int(row.account[subscription])
        contract, net = recurring(day, subscription, day.end)
        both = sums.setdefault(account, [0.0, 0.0])
        both[0] += contract
        both[1] += net
        newest[account] = subscription
    rows = []
    for account, (contract, net) in sums.items():
        subscription = newest[account]
        currency = CURRENCIES[int(row.currency[subscription])]
        rows.append(
            (
                account, day.number, PLANS[int(row.plan[subscription])], str(row.status[subscription]), currency,
                int(row.quantity[subscription]), round(net, 4), round(net * USD_PER_UNIT[currency], 4),
                round(contract, 4), float(level[account]), float(1 - (1 - hazard[account]) ** DAYS_PER_MONTH),
            )
        )  # fmt: skip
    world.account_months.extend(rows)


def write(world: World, folder: Path, clock: float) -> None:
    """Write the truth files as they are at the clock; each file is replaced as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    resolved = world.accounts.merged_into.copy()
    own = np.arange(len(resolved))
    resolved = np.where(resolved < 0, own, resolved)
    for _ in range(8):
        resolved = resolved[resolved]
    for name, columns in (
        ("identities", _identities(world, clock, resolved)),
        ("accounts", _accounts(world, clock, resolved)),
        ("channel_economics", _channel_economics(world, clock)),
        ("account_months", _account_months(world)),
        ("action_effects", _effects(world)),
        ("report_mistakes", _report_mistakes(world)),
    ):
        temporary = folder / f"{name}.parquet.part"
        pq.write_table(pa.table(columns), temporary)
        temporary.replace(folder / f"{name}.parquet")


def _account_keys(world: World, resolved: Any) -> list[str]:
    ids = world.accounts.account_id
    return [str(ids[number]) for number in resolved]


def _identities(world: World, clock: float, resolved: Any) -> dict[str, Any]:
    rows = world.identities
    seen = rows.at < clock
    keys = _account_keys(world, resolved)
    signed_up = world.accounts.signed_up_at < clock
    accounts, people, edge_case, edge_cases = [], [], [], []
    for account, person, prospect, noted in zip(
        rows.account[seen].tolist(), rows.person[seen].tolist(), rows.prospect[seen].tolist(),
        rows.edges[seen].tolist(), strict=True,
    ):  # fmt: skip
        owner = account if account >= 0 else int(world.prospects.account[prospect]) if prospect >= 0 else -1
        if owner >= 0 and not signed_up[owner]:
            owner = -1
        edges = noted
        if owner >= 0:
            lasting = Edge.DOMAIN_CHANGE | Edge.COMPANY_MERGER | Edge.REUSED_EMAIL
            edges |= int(world.accounts.edges[owner]) & int(lasting | Edge.DUPLICATE_BILLING_CUSTOMER)
        if person >= 0:
            edges |= int(world.people.edges[person]) & int(Edge.REUSED_EMAIL | Edge.SEVERAL_EMAILS)
        accounts.append(keys[owner] if owner >= 0 else f"prospect_{prospect:07d}")
        people.append(f"per_{person:07d}" if person >= 0 else None)
        edge_case.append(_leading(edges))
        edge_cases.append(_names(edges))
    return {
        "source_system": rows.source_system[seen].tolist(),
        "source_record_type": rows.source_record_type[seen].tolist(),
        "source_record_id": rows.source_record_id[seen].tolist(),
        "person_id": pa.array(people, pa.string()),
        "account_id": accounts,
        "edge_case": edge_case,
        "edge_cases": edge_cases,
        "created_at": _times(rows.at[seen]),
    }


_BY_DIFFICULTY = (
    Edge.COMPANY_MERGER, Edge.REUSED_EMAIL, Edge.OUTSOURCED_BILLING, Edge.ANONYMOUS_NEVER_TIED, Edge.UNKNOWN_REQUESTER,
    Edge.DOMAIN_CHANGE, Edge.DUPLICATE_BILLING_CUSTOMER, Edge.LEAD_AND_CONTACT, Edge.SEVERAL_EMAILS, Edge.PLUS_ADDRESS,
    Edge.CASE_VARIANT, Edge.FREE_MAIL, Edge.SHARED_INBOX, Edge.ANONYMOUS_BEFORE_SIGN_UP,
)  # fmt: skip


@cache
def _names(edges: int) -> str:
    """All edge cases of a record, separated by commas."""
    return ",".join(str(edge.name).lower() for edge in Edge if edge and edges & edge)


@cache
def _leading(edges: int) -> str:
    """The hardest of a record's edge cases, the one its score is counted under; `none` for a plain record."""
    return next((str(edge.name).lower() for edge in _BY_DIFFICULTY if edges & edge), "none")


def _accounts(world: World, clock: float, resolved: Any) -> dict[str, Any]:
    accounts = world.accounts
    seen = accounts.signed_up_at < clock
    hazard = _monthly_hazard(world)
    price = _monthly_value(world)
    survival = np.cumprod(np.repeat((1 - hazard)[:, None], HORIZON_MONTHS - 1, axis=1), axis=1).sum(axis=1) + 1
    paid = accounts.first_paid_at < clock
    return {
        "account_id": accounts.account_id[seen].tolist(),
        "resolved_account_id": [key for key, shown in zip(_account_keys(world, resolved), seen, strict=True) if shown],
        "name": accounts.name[seen].tolist(),
        "channel": [CHANNEL_NAMES[number] for number in accounts.channel[seen]],
        "campaign": [
            CHANNELS[channel].campaigns[campaign]
            for channel, campaign in zip(accounts.channel[seen], accounts.campaign[seen], strict=True)
        ],
        "signed_up_at": _times(accounts.signed_up_at[seen]),
        "first_paid_at": pa.array(
            [int(at * 1e6) if at < clock else None for at in accounts.first_paid_at[seen]], pa.timestamp("us")
        ),
        "true_monthly_hazard": hazard[seen],
        "true_ltv24": np.where(paid, survival * price * GROSS_MARGIN, 0.0)[seen].round(2),
        "monthly_value_usd": price[seen].round(2),
        "time_zone": [TIME_ZONES[hours] for hours in accounts.zone[seen].tolist()],
        "engagement": accounts.quality[seen].astype("f8"),
        "phase": accounts.phase[seen].astype("i4"),
        "edge_cases": [_names(int(edges)) for edges in accounts.edges[seen]],
    }


def _monthly_hazard(world: World) -> Any:
    accounts = world.accounts
    days = np.maximum(accounts.exposure_days, 1)
    base = np.array([channel.monthly_churn for channel in CHANNELS])[accounts.channel]
    lived = 1 - (1 - (accounts.hazard_sum / days).astype("f8").clip(0, 0.5)) ** DAYS_PER_MONTH
    return np.where(accounts.exposure_days >= 14, lived, base * np.exp(-0.9 * accounts.quality))


def _monthly_value(world: World) -> Any:
    """The list price of each account's last subscription per month, in USD."""
    row = world.subscriptions
    value = np.zeros(len(world.accounts))
    for subscription in range(len(row)):
        currency = CURRENCIES[int(row.currency[subscription])]
        interval = int(row.interval[subscription])
        price = unit_amount(int(row.plan[subscription]), interval, currency) / (12 if interval else 1)
        rate = USD_PER_UNIT[currency] / MINOR_UNITS[currency]
        value[int(row.account[subscription])] = price * int(row.quantity[subscription]) * rate
    return value


def _channel_economics(world: World, clock: float) -> dict[str, Any]:
    accounts, spend = world.accounts, world.spend
    hazard, price = _monthly_hazard(world), _monthly_value(world)
    rate = np.where(spend.currency == "EUR", USD_PER_UNIT["eur"], 1.0)
    amount = spend.amount * rate
    acquiring = np.isin(spend.cost_type, ("media", "variable"))
    paid = accounts.first_paid_at < clock
    survival = np.cumprod(np.repeat((1 - hazard)[:, None], HORIZON_MONTHS - 1, axis=1), axis=1).sum(axis=1) + 1
    columns: dict[str, list[Any]] = {}
    for number, channel in enumerate(CHANNELS):
        here = paid & (accounts.channel == number)
        spent = spend.channel == number
        customers = int(here.sum())
        ltv = float((survival * price * GROSS_MARGIN)[here].mean()) if customers else None
        row: dict[str, Any] = {
            "channel": channel.name,
            "customers": customers,
            "accounts": int((accounts.channel == number).sum()),
            "true_cost_per_lead": channel.cost_per_lead,
            "true_conversion": channel.conversion,
            "true_monthly_hazard": float(hazard[here].mean()) if customers else None,
            "spend_media_and_variable_usd": round(float(amount[spent & acquiring].sum()), 2),
            "spend_total_usd": round(float(amount[spent].sum()), 2),
            "true_cac_paid": float(amount[spent & acquiring].sum()) / customers if customers else None,
            "true_cac_blended": float(amount[spent].sum()) / customers if customers else None,
            "true_ltv24": ltv,
        }
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return dict(columns)


def _account_months(world: World) -> dict[str, Any]:
    rows = world.account_months
    ids = world.accounts.account_id
    return {
        "account_id": [str(ids[account]) for account in rows.account],
        "month": [utc(day_start(day)).strftime("%Y-%m-01") for day in rows.day.tolist()],
        "plan": rows.plan.tolist(),
        "status": rows.status.tolist(),
        "currency": rows.currency.tolist(),
        "seats": rows.seats,
        "closing_mrr": rows.closing_mrr,
        "closing_mrr_contract": rows.closing_mrr_contract,
        "closing_mrr_usd": rows.closing_mrr_usd,
        "engagement": rows.engagement.astype("f8"),
        "churn_hazard": rows.churn_hazard.astype("f8"),
    }


def _effects(world: World) -> dict[str, Any]:
    rows = world.effects
    ids = world.accounts.account_id
    return {
        "delivery_id": rows.delivery,
        "destination": rows.vendor.tolist(),
        "action": rows.action.tolist(),
        "account_id": pa.array([str(ids[account]) for account in rows.account], pa.string()),
        "effect": rows.effect.tolist(),
        "true_effect": rows.size.astype("f8"),
        "delivered_at": _times(rows.at),
    }


def _report_mistakes(world: World) -> dict[str, Any]:
    """What people got wrong in the reports they make by hand; amount is what was filed less what was right."""
    rows = world.report_mistakes
    return {
        "report": rows.report.tolist(),
        "metric": rows.metric.tolist(),
        "period": [date_text(day) for day in rows.day.tolist()],
        "kind": rows.kind.tolist(),
        "amount": rows.amount,
        "corrected_on": pa.array(
            [date_text(day) if day >= 0 else None for day in rows.corrected.tolist()], pa.string()
        ),
    }


def _times(seconds: Any) -> pa.Array:
    return pa.array((np.where(seconds < NEVER, seconds, 0.0) * 1e6).astype("i8"), pa.timestamp("us"))

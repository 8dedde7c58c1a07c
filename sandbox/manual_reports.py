"""What the company's own people report by hand, as CSV files where they keep them: funnel, billing and usage.

A report about a day is filed the next morning, one about a month on the first of the next. It is made from what really
happened and not from any silo, by people: figures with two digits swapped, a payment left out and added two days later,
a morning nobody had time, euros booked as dollars. Which of these were made, and by how much they are off, is written
with the other truths. Two habits are no mistakes and still make a difference: finance ends its day at 23:00 UTC, and
reports recurring revenue before discounts.
"""

from __future__ import annotations

import csv
import io
import json
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sandbox.world.catalog import MINOR_UNITS
from sandbox.world.dates import date_text, day_start, is_last_day_of_month, utc
from sandbox.world.parameters import HOUR
from sandbox.world.randomness import generator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.world.columns import Array
    from sandbox.world.day import Day
    from sandbox.world.state import World

REPORTED_DAYS = 62
"""The company began to keep these reports so many days before a new world's clock."""
FINANCE_CUT_HOUR = 23
"""Finance counts what is paid from this hour (UTC) on in the next day's list."""
CARD_FEE = Decimal("0.029")
FOLLOW_UP_DAYS = 2
"""After so many days what was forgotten is filed, and what was wrong and noticed is filed again."""
HEADER = ("period", "grain", "metric", "customer", "value", "currency", "prepared_by", "note")
PREPARERS = {"funnel": "growth-analyst", "billing": "finance-analyst", "usage": "product-analyst"}
TREASURY_RATES = Path(__file__).resolve().parent.parent / "seeds" / "definitions" / "fx_rates.csv"

SWAPPED_DIGITS, LEFT_OUT, WRONG_CURRENCY, NOT_FILED = "swapped digits", "left out", "wrong currency", "not filed"
NET_OF_FEES = "net of fees"
SHARE = 0.045
"""How often each kind of mistake is made in a report that can have it."""

Row = tuple[str, str, str, str, str, str]
"""Period, grain, metric, customer (empty for the total), value, currency."""


def write(world: World, day: Day, bucket: Path) -> None:
    """File what is due the morning after a finished day, and keep the books for the month.

    Called once for every day that is over, in their order.
    """
    _keep_books(world, day)
    first = world.parameters.days - REPORTED_DAYS
    if day.number < first:
        return
    _book_tomorrow(world, day)
    for report, rows in (("funnel", _funnel(world, day)), ("billing", _billing(world, day)), ("usage", _usage(day))):
        _file_or_forget(world, day, bucket, report, rows)
    for report, text in day.filings:
        _save(bucket, day.number + 1, f"{report}_later.csv", report, json.loads(text), "filed later")


def booked(day: Day, _at: float, customer: str, currency: str, amount: int) -> None:
    """A payment of last evening is in today's list."""
    day.payments.append((float(day.start - 1), customer, currency, amount))


def filed_later(day: Day, _at: float, report: str, text: str) -> None:
    """A report that was forgotten or wrong is filed tomorrow with the others."""
    day.filings.append((report, text))


def _keep_books(world: World, day: Day) -> None:
    month = _month(day)
    for at, _, currency, amount in day.payments:
        if at >= day.start:
            name = f"reports.payments.{month}"
            world.counters[name] = world.counters.get(name, 0) + _cents(amount, currency, at)
    seen = _active(day)
    world.accounts.seen_in_month[seen] = int(month.replace("-", "")[:6])


def _book_tomorrow(world: World, day: Day) -> None:
    cut = day.start + FINANCE_CUT_HOUR * HOUR
    for at, customer, currency, amount in day.payments:
        if at >= cut:
            world.schedule(day.end, "booked", customer, currency, amount)


def _funnel(world: World, day: Day) -> list[Row]:
    accounts = world.accounts
    rows: list[Row] = []
    for metric, instants in (("signups", accounts.signed_up_at), ("new_customers", accounts.first_paid_at)):
        found = np.flatnonzero((instants >= day.start) & (instants < day.end))
        period = date_text(day.number)
        rows.append((period, "day", metric, "", str(len(found)), ""))
        rows += [(period, "day", metric, str(accounts.account_id[account]), "1", "") for account in found]
        if is_last_day_of_month(day.number):
            since = utc(day.start).replace(day=1).timestamp()
            count = int(((instants >= since) & (instants < day.end)).sum())
            rows.append((_month(day), "month", metric, "", str(count), ""))
    return rows


def _billing(world: World, day: Day) -> list[Row]:
    month, period = _month(day), date_text(day.number)
    cut = day.start + FINANCE_CUT_HOUR * HOUR
    paid = [payment for payment in day.payments if payment[0] < cut]
    lines: list[Row] = [
        (period, "day", "payments", customer, _money(_cents(amount, currency, at)), currency)
        for at, customer, currency, amount in paid
    ]
    rows: list[Row] = [(period, "day", "payments", "", _sum(lines), "usd"), *lines]
    if is_last_day_of_month(day.number):
        total = world.counters.get(f"reports.payments.{month}", 0)
        rows.append((month, "month", "payments", "", _money(total), "usd"))
        rows += _recurring(world, day)
    return rows


def _recurring(world: World, day: Day) -> list[Row]:
    """Recurring revenue before discounts by account at the end of the month."""
    months = world.account_months
    here = np.flatnonzero((months.day == day.number) & (months.closing_mrr_contract > 0))
    month = _month(day)
    lines: list[Row] = []
    for row in here.tolist():
        currency = str(months.currency[row])
        usd = Decimal(repr(float(months.closing_mrr_contract[row]))) * _rates()[month, currency]
        account = str(world.accounts.account_id[months.account[row]])
        lines.append((month, "month", "closing_mrr", account, _money(_whole(usd * 100)), currency))
    return [(month, "month", "closing_mrr", "", _sum(lines), "usd"), *lines]


def _usage(day: Day) -> list[Row]:
    period, accounts = date_text(day.number), day.world.accounts
    active = _active(day)
    rows: list[Row] = [(period, "day", "active_customers", "", str(len(active)), "")]
    rows += [(period, "day", "active_customers", str(accounts.account_id[account]), "1", "") for account in active]
    if is_last_day_of_month(day.number):
        month = _month(day)
        seen = accounts.seen_in_month == int(month.replace("-", "")[:6])
        rows.append((month, "month", "active_customers", "", str(int(seen.sum())), ""))
    return rows


def _active(day: Day) -> Array:
    """The positions of the accounts whose people or integrations did something today."""
    usage = day.events.usage
    parts = [usage.account] if usage is not None else []
    tracked = {event.group_id for event in day.events.tracked if event.type == "track" and event.group_id}
    if tracked:
        parts.append(np.flatnonzero(np.isin(day.world.accounts.account_id, sorted(tracked))))
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, "i4")


def _file_or_forget(world: World, day: Day, bucket: Path, report: str, right: list[Row]) -> None:
    """File a report with whatever mistake is made today, and note the mistake."""
    draw = generator(day.seed, day.number, f"report.{report}").random()
    written, again = list(right), False
    kinds = {
        "funnel": (NOT_FILED,),
        "billing": (SWAPPED_DIGITS, LEFT_OUT, WRONG_CURRENCY),
        "usage": (SWAPPED_DIGITS, NOT_FILED),
    }[report]
    kind = kinds[int(draw / SHARE)] if draw < SHARE * len(kinds) else ""
    if kind == NOT_FILED:
        written, again = [], True
    elif kind == SWAPPED_DIGITS:
        written[0] = (*right[0][:4], _swapped(right[0][4]), right[0][5])
        again = report == "usage"  # its owner looks at the curve, sees it and files again
    elif kind == LEFT_OUT and len(_lines(right)) > 1:
        written, again = _with_total([row for row in right if row is not _lines(right)[-1]]), True
    elif kind == WRONG_CURRENCY:
        written = _with_total(_in_own_currency(right, day))
    first, last = world.parameters.net_of_fees
    if report == "billing" and first <= day.number < last:
        kind, again = NET_OF_FEES, False
        written = _with_total([_after_fee(row) for row in right])
    if written == right:
        kind = ""
    if kind:
        wrong = Decimal(written[0][4]) - Decimal(right[0][4]) if written else Decimal(0)
        corrected = day.number + 1 + FOLLOW_UP_DAYS if again else -1
        world.report_mistakes.append(
            day=day.number, report=report, metric=right[0][2], kind=kind, amount=float(wrong), corrected=corrected
        )
    if again:
        world.schedule(day_start(day.number + FOLLOW_UP_DAYS), "filed_later", report, json.dumps(right))
    if written:
        _save(bucket, day.number + 1, f"{report}.csv", report, written, "")


def _lines(rows: list[Row]) -> list[Row]:
    """What the day's total in the first row adds up."""
    return [row for row in rows[1:] if row[:3] == rows[0][:3]]


def _with_total(rows: list[Row]) -> list[Row]:
    return [(*rows[0][:4], _sum(_lines(rows)), rows[0][5]), *rows[1:]]


def _in_own_currency(rows: list[Row], day: Day) -> list[Row]:
    """The first foreign payment of the day as it was paid, as if it had been dollars."""
    for at, customer, currency, amount in day.payments:
        entered = (date_text(day.number), "day", "payments", customer, _money(_cents(amount, currency, at)), currency)
        if at >= day.start and currency != "usd" and entered in rows:
            place = rows.index(entered)
            value = _money(amount * 100 // MINOR_UNITS[currency])
            return [*rows[:place], (*entered[:4], value, currency), *rows[place + 1 :]]
    return rows


def _after_fee(row: Row) -> Row:
    if row[1:3] != ("day", "payments") or not row[3]:
        return row
    return (*row[:4], _money(_whole(Decimal(row[4]) * 100 * (1 - CARD_FEE))), row[5])


def _swapped(value: str) -> str:
    """The figure with the first two different neighbouring digits swapped; one digit too many if there are none."""
    for place in range(len(value) - 1):
        one, other = value[place], value[place + 1]
        if one != other and one.isdigit() and other.isdigit():
            return value[:place] + other + one + value[place + 2 :]
    return f"1{value}"


def _save(bucket: Path, number: int, name: str, report: str, rows: Iterable[Iterable[str]], note: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([*row, PREPARERS[report], note] for row in rows)
    folder = bucket / "reports" / f"filed_on={date_text(number)}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}"
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(folder / name)


def _month(day: Day) -> str:
    return utc(day.start).strftime("%Y-%m-01")


def _cents(minor: int, currency: str, at: float) -> int:
    """An amount in minor units as US cents at the treasury's rate of the month, each payment rounded by itself."""
    month = utc(at).strftime("%Y-%m-01")
    return _whole(Decimal(minor) / MINOR_UNITS[currency] * _rates()[month, currency] * 100)


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def _money(cents: int) -> str:
    return f"{Decimal(cents) / 100:.2f}"


def _sum(rows: Iterable[Row]) -> str:
    return f"{sum((Decimal(row[4]) for row in rows), Decimal(0)):.2f}"


@cache
def _rates() -> dict[tuple[str, str], Decimal]:
    """The company's treasury table: US dollars per unit by month and currency, of the latest version."""
    with TREASURY_RATES.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["fx_version"]))
    return {(row["month"], row["currency"]): Decimal(row["usd_per_unit"]) for row in rows}

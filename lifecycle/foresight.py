"""What a signal is worth as a warning: how often what it warns of followed, how much more often, and how early.

Counted over the customers to whom the outcome could happen (who pays can leave or expand; who does not can start or
come back). A firing counts when its whole horizon lies in the past; the rate at any time is that of all such customers
on all days. Customers fire several times and days overlap, so every interval is made from sums per customer (a ratio
of totals, its variance from what each customer adds), put on Wilson's scale, which stays within 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    import duckdb

Z = 1.959963984540054
OUTCOMES = {
    "churn": ("churn", True),
    "expansion": ("expansion", True),
    "start": ("new", False),
    "return": ("reactivation", False),
}
"""Name of an outcome: the movement of revenue that it is, and whether it happens to those who pay."""
PER_CUSTOMER = """
    with movements as (
        select customer_id, occurred_at, movement, mrr_after,
            lead(occurred_at) over (partition by customer_id order by occurred_at) as until
        from live.intermediate.int_mrr_movements__dated
    ),
    spells as (
        select customer_id, occurred_at as since, coalesce(until, $as_of) as until from movements
        where (mrr_after > 0) = $pays and ($outcome != 'new')
        union all
        select customers.customer_id, customers.first_seen_at,
            coalesce(min(movements.occurred_at), $as_of)
        from live.intermediate.int_customers__resolved as customers
        left join movements using (customer_id)
        where $outcome = 'new'
        group by customers.customer_id, customers.first_seen_at
    ),
    outcomes as (
        select customer_id, occurred_at from movements
        where movement = $outcome and occurred_at >= $start and occurred_at < $as_of
    ),
    firings as (
        select distinct signals.customer_id, signals.occurred_at
        from live.marts.signals as signals
        inner join spells
            on signals.customer_id = spells.customer_id
            and signals.occurred_at >= spells.since and signals.occurred_at < spells.until
        where signals.signal_id in (select unnest($signals)) and signals.outcome = 'fired'
            and signals.occurred_at >= $start - $horizon and signals.occurred_at < $as_of
    ),
    judged as (
        select firings.customer_id, max(case when outcomes.customer_id is not null then 1 else 0 end) as hit
        from firings
        left join outcomes
            on firings.customer_id = outcomes.customer_id
            and outcomes.occurred_at > firings.occurred_at and outcomes.occurred_at <= firings.occurred_at + $horizon
        where firings.occurred_at >= $start and firings.occurred_at <= $as_of - $horizon
        group by firings.customer_id, firings.occurred_at
    ),
    days as (
        select unnest(generate_series($start, $as_of - $horizon, interval 1 day)) as day
    ),
    stood as (
        select spells.customer_id, days.day,
            max(case when outcomes.customer_id is not null then 1 else 0 end) as hit
        from spells
        inner join days on days.day >= spells.since and days.day < spells.until
        left join outcomes
            on spells.customer_id = outcomes.customer_id
            and outcomes.occurred_at > days.day and outcomes.occurred_at <= days.day + $horizon
        group by spells.customer_id, days.day
    ),
    warned as (
        select outcomes.customer_id, outcomes.occurred_at,
            date_diff('second', min(firings.occurred_at), outcomes.occurred_at) / 86400.0 as lead_days
        from outcomes
        left join firings
            on outcomes.customer_id = firings.customer_id
            and firings.occurred_at < outcomes.occurred_at and firings.occurred_at >= outcomes.occurred_at - $horizon
        group by outcomes.customer_id, outcomes.occurred_at
    ),
    sums as (
        select customer_id, count(*) as fired, sum(hit) as hits, 0 as days, 0 as day_hits, 0 as outcomes, 0 as warned
        from judged group by customer_id
        union all
        select customer_id, 0, 0, count(*), sum(hit), 0, 0 from stood group by customer_id
        union all
        select customer_id, 0, 0, 0, 0, count(*), count(lead_days) from warned group by customer_id
    )
    select sum(fired), sum(hits), sum(days), sum(day_hits), sum(outcomes), sum(warned),
        (select quantile_cont(lead_days, [0.25, 0.5, 0.75]) from warned)
    from sums group by customer_id
"""


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval and how many it was counted over; None where nothing was counted."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Foresight:
    """How a signal does as a warning of one outcome. `lift` is precision over the rate at any time."""

    outcome: str
    horizon_days: int
    precision: Share
    at_any_time: Share
    lift: Share
    recall: Share
    lead_days: tuple[float, float, float] | None


def share(hits: Sequence[float], units: Sequence[float]) -> Share:
    """The ratio of two totals over customers, with an interval that knows that a customer's units go together."""
    total = sum(units)
    if not total:
        return Share(None, None, None, 0)
    value = sum(hits) / total
    clusters = sum(1 for each in units if each)
    spread = sum((hit - value * unit) ** 2 for hit, unit in zip(hits, units, strict=True))
    variance = spread / total**2 * clusters / max(clusters - 1, 1)
    # as many independent units as would give this variance; never more than there are customers at the ends
    effective = min(value * (1 - value) / variance, total) if variance > 0 else float(clusters)
    centre = (value + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    half = Z * math.sqrt(value * (1 - value) / effective + Z**2 / (4 * effective**2)) / (1 + Z**2 / effective)
    return Share(value, max(centre - half, 0.0), min(centre + half, 1.0), int(total))


def lift(rows: Sequence[Sequence[float]], precision: Share, base: Share) -> Share:
    """Precision over the rate at any time; both are of the same customers, so the interval is of their ratio."""
    if not precision.value or not base.value:
        zero = 0.0 if base.value and precision.value is not None else None
        high = precision.high / base.value if zero is not None and precision.high is not None and base.value else None
        return Share(zero, zero, high, precision.n)
    hits, day_hits = sum(row[1] for row in rows), sum(row[3] for row in rows)
    fired, days = sum(row[0] for row in rows), sum(row[2] for row in rows)
    # what each customer adds to the logarithm of the ratio
    parts = [row[1] / hits - row[0] / fired - row[3] / day_hits + row[2] / days for row in rows]
    half = Z * math.sqrt(sum(part**2 for part in parts))
    value = precision.value / base.value
    return Share(value, value * math.exp(-half), value * math.exp(half), precision.n)


def foresee(
    connection: duckdb.DuckDBPyConnection,
    signals: Sequence[str],
    start: dt.datetime,
    as_of: dt.datetime,
    horizon: dt.timedelta,
) -> list[Foresight]:
    """One row per outcome that could have followed; the warehouse is attached as `live`."""
    found = []
    for name, (movement, pays) in OUTCOMES.items():
        parameters: dict[str, Any] = {
            "signals": list(signals), "start": start, "as_of": as_of, "horizon": horizon, "outcome": movement,
            "pays": pays,
        }  # fmt: skip
        rows = connection.execute(PER_CUSTOMER, parameters).fetchall()
        if not sum(row[0] for row in rows):
            continue
        sums = [[float(value) for value in row[:6]] for row in rows]
        precision = share([row[1] for row in sums], [row[0] for row in sums])
        base = share([row[3] for row in sums], [row[2] for row in sums])
        leads = rows[0][6]
        quartiles = (leads[0], leads[1], leads[2]) if leads and leads[1] is not None else None
        found.append(
            Foresight(
                outcome=name,
                horizon_days=horizon.days,
                precision=precision,
                at_any_time=base,
                lift=lift(sums, precision, base),
                recall=share([row[5] for row in sums], [row[4] for row in sums]),
                lead_days=quartiles,
            )
        )
    return found

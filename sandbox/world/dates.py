"""Calendar arithmetic in unix seconds (UTC)."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime

from sandbox.world.parameters import DAY, FOUNDED_AT


def day_start(day: int) -> int:
    """The first second of the world's `day`-th day; day 0 is the founding day."""
    return FOUNDED_AT + day * DAY


def day_of(at: float) -> int:
    """The world's day that an instant falls into."""
    return int((at - FOUNDED_AT) // DAY)


def utc(at: float) -> datetime:
    """An instant as a datetime in UTC."""
    return datetime.fromtimestamp(at, UTC)


def iso(at: float) -> str:
    """An instant as 2026-11-01T06:00:00Z, to the second."""
    return utc(int(at)).strftime("%Y-%m-%dT%H:%M:%SZ")


def date_text(day: int) -> str:
    """The date of the world's `day`-th day as 2026-11-01."""
    return utc(day_start(day)).strftime("%Y-%m-%d")


def months_after(anchor: float, months: int) -> int:
    """The billing date `months` after an anchor: the anchor's day of month, or the month's last day if it has none."""
    start = utc(int(anchor))
    years, month = divmod(start.month - 1 + months, 12)
    year = start.year + years
    day = min(start.day, monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def is_last_day_of_month(day: int) -> bool:
    """Whether the next day begins another month."""
    return utc(day_start(day)).month != utc(day_start(day + 1)).month

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from activation.pacing import Rate, Retry, RunTime, TokenBucket
from activation.transport import parse_retry_after

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)


def test_a_rested_bucket_lets_a_burst_through_and_then_keeps_the_rate(time: Any) -> None:
    bucket = TokenBucket(Rate(per_second=2, burst=3), time)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    time.pause(10)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_rate_has_to_let_something_through(per_second: Any, burst: Any) -> None:
    with pytest.raises(ValueError, match="A rate needs"):
        Rate(per_second, burst)


def test_what_the_vendor_asks_for_is_honoured_in_full(rng: random.Random) -> None:
    retry = Retry(base=0.5, cap=60, attempts=6)
    for attempt in range(1, 8):
        assert 3600 <= retry.wait(attempt, 3600, rng) <= 3600.5
        assert 0 <= retry.wait(attempt, None, rng) <= min(60, 0.5 * 2 ** (attempt - 1))


@pytest.mark.parametrize("bad", [{"base": 0}, {"base": 2, "cap": 1}, {"attempts": 0}])
def test_a_schedule_that_cannot_be_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="A retry schedule needs"):
        Retry(**bad)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("0.5", 0.5), ("-3", 0), ("Sun, 01 Nov 2026 06:01:00 GMT", 60), ("soon", None), (None, None)],
)
def test_retry_after_is_a_number_or_a_date(value: Any, seconds: Any) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_the_run_clock_starts_at_as_of() -> None:
    as_of = datetime.fromisoformat("2026-11-01T06:00:00")
    time = RunTime(as_of)
    assert as_of <= time.now() < as_of.replace(minute=1)

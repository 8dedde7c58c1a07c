from __future__ import annotations

import queue
import random
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activation import pacing
from activation.pacing import Breaker, Quota, Rate, Retry, RunTime, Window, estimate


@given(
    steps=st.lists(st.floats(-3600, 3600), max_size=60),
    per_second=st.floats(0.5, 100),
    burst=st.integers(1, 50),
)
def test_no_clock_whatever_it_does_gives_more_than_a_full_bucket(
    steps: list[float], per_second: float, burst: int
) -> None:
    rate, wall, tokens, filled_at = Rate(per_second, burst), 1e9, float(burst), 1e9
    for step in steps:
        wall += step
        before = tokens
        tokens, filled_at = rate.refilled(tokens, filled_at, wall), wall
        assert before <= tokens <= burst
        assert tokens - before <= max(step, 0.0) * per_second + 1e-3
        tokens = max(tokens - 1, 0.0)


@given(attempt=st.integers(1, 2000), asked_for=st.none() | st.floats(0, 10_000), seed=st.integers(0, 100))
def test_what_was_asked_for_is_honoured_in_full_and_jitter_is_full(
    attempt: int, asked_for: float | None, seed: int
) -> None:
    retry = Retry(base=0.5, cap=60)
    wait = retry.wait(attempt, asked_for, random.Random(seed))
    if asked_for is None:
        assert 0 <= wait <= min(60.0, 0.5 * 2 ** min(attempt - 1, 30))
    else:
        assert asked_for <= wait <= asked_for + 0.5


def test_jitter_uses_the_whole_range() -> None:
    waits = [Retry(base=1, cap=60).wait(5, None, random.Random(seed)) for seed in range(400)]
    assert min(waits) < 1
    assert max(waits) > 15


def test_a_breaker_rests_longer_each_time_up_to_its_longest() -> None:
    breaker = Breaker(failures=5, seconds=30, longest=600)
    assert [breaker.rest(openings) for openings in (0, 1, 2, 5, 5000)] == [30, 60, 120, 600, 600]


@pytest.mark.parametrize(
    ("text", "at", "seconds"),
    [
        ("08:00-20:00", "08:00", 0),
        ("08:00-20:00", "19:59", 0),
        ("08:00-20:00", "20:00", 12 * 3600),
        ("08:00-20:00", "07:30", 1800),
        ("22:00-06:00", "23:00", 0),
        ("22:00-06:00", "05:59", 0),
        ("22:00-06:00", "06:00", 16 * 3600),
        ("00:00-00:00", "13:00", 0),
    ],
)
def test_a_window_knows_when_it_opens(text: str, at: str, seconds: int) -> None:
    moment = datetime.fromisoformat(f"2026-11-01T{at}:00")
    assert Window.parse(text).seconds_until_open(moment) == seconds


def test_an_estimate_names_the_limit_that_binds() -> None:
    by_rate = estimate(10_000, 1, Rate(5, 100))
    assert (by_rate.seconds, "5 requests a second" in by_rate.limit) == (1980.0, True)
    by_quota = estimate(10_000, 50, Rate(2, 10), Quota(480, 600, 0.2))
    assert (by_quota.seconds, "480 s of run time" in by_quota.limit) == (2400.0, True)
    assert estimate(1, 50, Rate(2, 10), Quota(480, 600, 0.2)).seconds == 0


def test_run_time_is_anchored_and_moves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    as_of = datetime.fromisoformat("2026-11-01T06:00:00")
    time = RunTime(as_of)
    assert time.now() == as_of
    seconds[0] += 90
    assert time.now() == as_of + timedelta(seconds=90)
    assert time.wall().tzinfo is None
    assert time.next_of(queue.SimpleQueue(), 0.001) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rate(0, 1),
        lambda: Rate(1, 0),
        lambda: Retry(base=2, cap=1),
        lambda: Retry(attempts=0),
        lambda: Breaker(failures=0),
        lambda: Breaker(seconds=10, longest=1),
        lambda: Window.parse("8 to 20"),
    ],
)
def test_nonsense_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"needs|looks like"):
        make()  # type: ignore[operator]

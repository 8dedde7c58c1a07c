from __future__ import annotations

import pytest

from ingest.errors import ImplausibleAnswerError
from ingest.guards import advanced_cursor, lagged, require_floor, require_total


def test_floor_refuses_an_answer_below_half_of_the_last_one() -> None:
    with pytest.raises(ImplausibleAnswerError, match="49 rows where the last good answer had 100"):
        require_floor("people", 49, 100)


@pytest.mark.parametrize(("received", "last_good"), [(50, 100), (0, 19), (0, 0), (300, 100)])
def test_floor_lets_ordinary_changes_and_small_tables_pass(received: int, last_good: int) -> None:
    require_floor("people", received, last_good)


def test_floor_can_be_lowered_by_a_setting() -> None:
    require_floor("people", 1, 100, share=0.0)


def test_total_refuses_a_list_that_is_shorter_than_the_vendor_counts() -> None:
    with pytest.raises(ImplausibleAnswerError, match="98 rows where the vendor counts 100"):
        require_total("tickets", 98, 100, slack=1)


@pytest.mark.parametrize(("received", "total"), [(99, 100), (100, 100), (120, 100), (5, None)])
def test_total_lets_slack_more_rows_and_silent_vendors_pass(received: int, total: int | None) -> None:
    require_total("tickets", received, total, slack=1)


@pytest.mark.parametrize(
    ("previous", "seen", "expected"),
    [
        (None, [], 1000.0),
        (None, [10.0, 30.0, 20.0], 30.0),
        (50.0, [10.0], 50.0),
        (50.0, [], 50.0),
        (50.0, [4_102_444_800.0], 50.0),
        (50.0, [4_102_444_800.0, 60.0], 60.0),
        (4_102_444_800.0, [], 1000.0),
    ],
)
def test_cursor_follows_the_newest_row_but_neither_back_nor_past_now(
    previous: float | None, seen: list[float], expected: float
) -> None:
    assert advanced_cursor(previous, seen, ceiling=1000.0) == expected


def test_lag_below_one_second_is_refused_because_equal_times_would_be_lost() -> None:
    assert lagged(100.0, 20.0) == 80.0
    with pytest.raises(ValueError, match="at least 1"):
        lagged(100.0, 0.5)

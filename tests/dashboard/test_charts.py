from __future__ import annotations

import pytest

from dashboard import charts


def _row(label: str, value: float, low: float | None, high: float | None) -> dict[str, object]:
    return {"label": label, "value": value, "low": low, "high": high, "is_weak": False, "said": f"{label} is {value}"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([_row("a", 20, -3, 90), _row("b", 4, 2, 9)], {"a is 20", "b is 4"}),
        ([_row("a", 20, 0, 90), _row("b", -4, -9, -1)], {"a is 20"}),
        ([_row("a", 20, None, None)], {"a is 20"}),
        ([], set()),
    ],
)
def test_an_interval_that_reaches_below_zero_is_cut_off_by_a_logarithmic_axis(
    rows: list[dict[str, object]], said: set[str]
) -> None:
    drawn = charts.drawn(charts.intervals(rows, "money", logarithmic=True), "here")
    assert {text for text in ("a is 20", "b is 4", "b is -4") if text in drawn} == said
    assert "NaN" not in drawn


def test_a_logarithmic_axis_names_one_two_and_five_of_each_power_between_its_ends() -> None:
    assert charts._decades([3, None, 1100, 40]) == [5, 10, 20, 50, 100, 200, 500, 1000]
    assert charts._decades([None]) == []

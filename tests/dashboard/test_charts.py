from __future__ import annotations

import re

import pytest

from dashboard import charts, drawing


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
    rows: list[dict[str, object]], said: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "NARROWER", {drawing.HALF: {}})
    drawn = drawing.drawn(charts.intervals(rows, "money", logarithmic=True), "here")
    assert {text for text in ("a is 20", "b is 4", "b is -4") if text in drawn} == said
    assert "NaN" not in drawn


def test_a_logarithmic_axis_names_one_two_and_five_of_each_power_between_its_ends() -> None:
    assert drawing.decades([3, None, 1100, 40]) == [5, 10, 20, 50, 100, 200, 500, 1000]
    assert drawing.decades([None]) == []


def test_a_picture_is_as_wide_as_its_column_however_long_its_labels_are() -> None:
    rows = [
        {"label": name, "value": 1, "shown": "1 of 60 days", "colour": "red", "said": name} for name in ("a", "b" * 80)
    ]
    months = [
        {"month": f"Jan 20{year}", "series": name, "value": 1, "low": 0, "high": 2, "said": name}
        for year in range(10, 30)
        for name in ("one", "the other")
    ]
    pictures = (
        (charts.bars(rows, highest=1), drawing.HALF),
        (charts.intervals([_row("a" * 80, 20, None, 90)], "money", unit="USD"), drawing.HALF),
        (charts.bands(months, "share", {"one": "red", "the other": "blue"}, width=drawing.FULL), drawing.FULL),
    )
    for picture, width in pictures:
        widths = [int(each) for each in re.findall(r'viewBox="0 0 (\d+) ', drawing.drawn(picture, "here"))]
        assert widths == [width, *drawing.NARROWER[width].values()]


def test_a_grid_of_more_columns_than_a_phone_can_hold_is_drawn_once() -> None:
    cells = [
        {"x": x, "x_rank": x, "y": "all", "share": 0.1 * x, "shown": "1", "said": str(x)}
        for x in range(drawing.TOO_MANY + 1)
    ]
    assert drawing.drawn(charts.heat_map(cells, None), "here").count("<svg") == 1
    assert drawing.drawn(charts.heat_map(cells[1:], None), "here").count("<svg") == 2


def test_names_at_the_ends_of_lines_are_moved_apart_and_keep_their_order() -> None:
    assert drawing.apart([5.0, 1.0, 1.2, 9.0], 1.0) == [5.0, 1.0, 2.0, 9.0]
    assert drawing.apart([], 1.0) == []


def test_an_axis_names_whole_numbers_once_each_and_few_enough_to_read() -> None:
    assert drawing.whole([0, 1, 2, 1]) == [0, 1, 2]
    assert drawing.whole(range(1, 60)) == list(range(5, 60, 5))
    assert drawing.whole([]) == []

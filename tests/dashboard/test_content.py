from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts import STRONGEST
from dashboard.content import DIGITS, Column, Value

MARKS = ("gain-", "loss-", "series-", "neutral", "focus", "rule-strong")
STYLE = Path(__file__).resolve().parents[2] / "dashboard" / "template" / "page.css"


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=6),
    st.sampled_from(sorted(DIGITS)),
)
def test_what_is_shown_is_the_exact_value_rounded_and_what_is_carried_is_exact(raw: Decimal, kind: str) -> None:
    value = Value(raw, kind)
    scale = 100 if kind == "share" else 1
    shown = Decimal(value.shown.rstrip("%").replace(",", ""))
    assert shown == (raw * scale).quantize(Decimal(1).scaleb(-DIGITS[kind]), rounding=ROUND_HALF_EVEN)
    assert Decimal(value.exact) == raw


@pytest.mark.parametrize(
    ("raw", "kind", "shown"),
    [
        (None, "money", "\N{EN DASH}"),
        (Decimal("270301.53"), "money", "270,301.53"),
        (Decimal("-0.5"), "money", "-0.50"),
        (Decimal("1.075789"), "share", "107.6%"),
        (0, "count", "0"),
        (date(2026, 2, 1), "date", "01 Feb 2026"),
        (datetime(2026, 2, 1, 6, 5, tzinfo=UTC), "instant", "01 Feb 2026 06:05 UTC"),
        ("at_risk", "text", "at_risk"),
        (Decimal("2810.53"), "dollars", "2,811"),
    ],
)
def test_a_value_is_written_as_its_kind(raw: object, kind: str, shown: str) -> None:
    assert Value(raw, kind).shown == shown


def test_an_id_of_the_playbook_is_words_and_a_name_stays_as_somebody_wrote_it() -> None:
    assert Value("at_risk", "text").words == "at risk"
    assert Value("at_risk", "name").words == "at_risk"


def test_an_instant_says_that_it_is_utc() -> None:
    assert Value(datetime(2026, 2, 1, 6, 5), "instant").exact == "2026-02-01T06:05:00Z"  # noqa: DTZ001 - as marts do
    assert Value(datetime(2026, 2, 1, 6, 5, tzinfo=UTC), "instant").exact == "2026-02-01T06:05:00Z"


def test_an_estimate_brings_its_interval_along() -> None:
    row = {"ltv": Decimal(3), "ltv_low": Decimal(2), "ltv_high": None, "ltv_n": 7}
    cell = Column("ltv", "LTV", "money", is_estimate=True).cell(row)
    assert (cell.value.raw, cell.low.raw, cell.n.raw) == (3, 2, 7)
    assert not cell.has_interval


def test_text_stands_out_from_its_ground_in_light_and_dark() -> None:
    """WCAG AA: 4.5 to 1 for text, 3 to 1 for marks."""
    for palette in (_palette(":root {"), _palette(':root[data-scheme="dark"] {')):
        for ground in ("paper", "panel"):
            for text in ("ink", "soft", "accent"):
                assert _contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
            for mark in (name for name in palette if name.startswith(MARKS)):
                assert _contrast(palette[mark], palette[ground]) >= 3, (mark, ground)
        strongest = _mixed(palette["accent"], palette["panel"], STRONGEST)
        assert _contrast(palette["ink"], strongest) >= 4.5
        assert _contrast(palette["ink"], palette["stale"]) >= 4.5


def test_both_ways_to_dark_are_the_same() -> None:
    assert _palette(':root:not([data-scheme="light"]) {') == _palette(':root[data-scheme="dark"] {')


def _palette(selector: str) -> dict[str, str]:
    text = STYLE.read_text(encoding="utf-8")
    block = text[text.index(selector) + len(selector) :]
    pairs = (part.split(":") for part in block[: block.index("}")].split(";") if ":" in part)
    return {name.strip().removeprefix("--"): value.strip() for name, value in pairs}


def _mixed(over: str, ground: str, opacity: float) -> str:
    parts = ((int(colour[at : at + 2], 16) for colour in (over, ground)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(top * opacity + below * (1 - opacity)):02x}" for top, below in parts)


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

"""The pictures, as Vega-Lite.

Every mark carries a sentence (`said`): a screen reader reads it, the pointer and the arrow keys show it. What a colour
says is said by a place, a name or a shape as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from dashboard.drawing import (
    AXIS_FORMATS,
    EDGES,
    FIXED,
    FULL,
    HALF,
    LETTER,
    TOO_MANY,
    above_zero,
    apart,
    axis_of,
    colour_scale,
    data,
    decades,
    months,
    room_for,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from dashboard.content import Kind
    from dashboard.published import Row

MOVEMENTS = {
    "new": "var(--gain-1)",
    "reactivation": "var(--gain-2)",
    "expansion": "var(--gain-3)",
    "contraction": "var(--loss-2)",
    "churn": "var(--loss-1)",
    "exchange rates": "var(--neutral)",
}
# the strongest cell of a grid is this much of the accent: more, and its number could not be read in light and dark
STRONGEST = 0.52


def bridge(steps: Sequence[Row], floor: Decimal) -> alt.TopLevelMixin:
    """A waterfall read from top to bottom, its axis beginning at `floor`; balances are strokes, movements bars.

    A bar of a balance would have to begin at zero to be as long as it is large.

    `steps`, in order: step, from, to, top, role (`balance` or a movement), label, said.
    """
    ends = [float(step[end]) for step in steps for end in ("from", "to")]
    scale = alt.Scale(domain=[float(floor), max(ends) + 0.14 * (max(ends) - float(floor))], nice=False, zero=False)
    base = alt.Chart(data(steps), width=HALF, height=alt.Step(32)).encode(
        y=alt.Y("step:N", sort=[step["step"] for step in steps], title=None, axis=alt.Axis(labelColor="var(--ink)")),
    )
    axis = axis_of("money", is_across=True)
    bars = (
        base.transform_filter("datum.role != 'balance'")
        .mark_bar(size=20, cornerRadius=1)
        .encode(
            x=alt.X("from:Q", axis=axis, scale=scale),
            x2="to:Q",
            color=alt.Color("role:N", scale=colour_scale(MOVEMENTS), legend=None),
            description="said:N",
        )
    )
    balances = (
        base.transform_filter("datum.role == 'balance'")
        .mark_tick(thickness=4, size=24, opacity=1, color="var(--accent)")
        .encode(x=alt.X("to:Q", axis=axis, scale=scale), description="said:N")
    )
    labels = base.mark_text(dx=7, align="left", aria=False).encode(
        x=alt.X("top:Q", axis=axis, scale=scale), text=alt.Text("label:N")
    )
    return alt.layer(bars, balances, labels).properties(padding={**EDGES, "right": 28})


def movements(rows: Sequence[Row]) -> alt.TopLevelMixin:
    """Gains above the line and losses below it, by month. `rows`: month, movement, amount, said."""
    chart: alt.Chart = (
        alt.Chart(data(rows), width=FULL, height=260)
        .mark_bar(stroke="var(--panel)", strokeWidth=1)
        .encode(
            x=months(rows),
            y=alt.Y("amount:Q", axis=axis_of("money")),
            color=alt.Color(
                "movement:N", scale=colour_scale(MOVEMENTS), sort=list(MOVEMENTS), legend=alt.Legend(columns=6)
            ),
            order="rank:Q",
            description="said:N",
        )
    )
    return chart


def bands(
    rows: Sequence[Row], kind: Kind, colours: dict[str, str], *, width: int = HALF, is_from_zero: bool = False
) -> alt.TopLevelMixin:
    """Lines over months with their 95 % bands, each named at its end. `rows`: month, series, value, low, high, said."""
    base = alt.Chart(data(rows), width=width, height=260).encode(
        x=months(rows), color=alt.Color("series:N", scale=colour_scale(colours), legend=None)
    )
    scale = alt.Scale(zero=is_from_zero, nice=True)
    y = {end: alt.Y(f"{end}:Q", axis=axis_of(kind), scale=scale) for end in ("low", "high", "value")}
    area = base.mark_area(opacity=0.16, aria=False).encode(y=y["low"], y2="high:Q")
    edges = [base.mark_line(strokeWidth=1, opacity=0.8, aria=False).encode(y=y[end]) for end in ("low", "high")]
    line = base.mark_line(strokeWidth=2.5, aria=False).encode(y=y["value"])
    points = base.mark_circle(size=46, opacity=1).encode(y=y["value"], description="said:N")
    has_bands = any(row["low"] != row["high"] for row in rows)
    chart = alt.layer(*([area, *edges] if has_bands else []), line, points, _names(rows, scale, is_from_zero))
    return chart.properties(padding=room_for(colours))


def _names(rows: Sequence[Row], scale: alt.Scale, is_from_zero: bool) -> alt.Chart:
    """The name of each series beside its last value; names that would lie over each other are moved apart."""
    ends = list({row["series"]: row for row in rows}.values())
    known = [float(row[end]) for row in rows for end in ("low", "value", "high") if row[end] is not None]
    reach = max(known, default=0) - (0 if is_from_zero else min(known, default=0))
    places = apart([float(row["value"]) for row in ends], 0.07 * reach)
    named = [{**row, "at": at} for row, at in zip(ends, places, strict=True)]
    chart: alt.Chart = (
        alt.Chart(data(named))
        .mark_text(align="left", dx=9, aria=False)
        .encode(x=months(rows), y=alt.Y("at:Q", scale=scale), text="series:N")
    )
    return chart


def intervals(
    rows: Sequence[Row],
    kind: Kind,
    *,
    colours: dict[str, str] | None = None,
    reference: float | None = None,
    logarithmic: bool = False,
    unit: str | None = None,
) -> alt.TopLevelMixin:
    """One line a label: the interval as a line, the value as a dot; what is weak is dashed and its dot hollow.

    `rows`, in order: label, series (a name of `colours`, one line each), value, low, high, is_weak, said, and where
    something was foretold also expected, which is drawn as a stroke.
    """
    colours = colours or {"": "var(--accent)"}
    rows = [{"series": "", **row} for row in (above_zero(rows) if logarithmic else rows)]
    scale = alt.Scale(type="log", nice=False) if logarithmic else alt.Scale(zero=True)
    step = alt.Step(30 if len(colours) == 1 else 36, **{"for": "position"})
    colour = alt.Color(
        "series:N", scale=colour_scale(colours), legend=alt.Legend(symbolOpacity=1) if len(colours) > 1 else None
    )
    base = alt.Chart(data(rows), width=HALF, height=step).encode(
        y=alt.Y(
            "label:N",
            sort=list(dict.fromkeys(row["label"] for row in rows)),
            title=None,
            axis=alt.Axis(labelColor="var(--ink)", labelLimit=180),
        ),
        color=colour,
    )
    if len(colours) > 1:
        base = base.encode(yOffset=alt.YOffset("series:N", sort=list(colours)))
    axis = axis_of(kind, unit=unit, is_across=True)
    if logarithmic:
        values = decades(row[end] for row in rows for end in ("low", "high"))
        axis = alt.Axis(format=AXIS_FORMATS[kind], grid=True, title=axis["title"], values=values, labelOverlap=False)
    lines = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(strokeWidth=3, strokeCap="round", aria=False)
        .encode(
            x=alt.X("low:Q", axis=axis, scale=scale),
            x2="high:Q",
            strokeDash=alt.condition("datum.is_weak", alt.value([1, 5]), alt.value([1, 0])),
        )
    )
    dots = base.mark_circle(size=90, opacity=1).encode(x=alt.X("value:Q", axis=axis, scale=scale), description="said:N")
    hollow = (
        base.transform_filter("datum.is_weak")
        .mark_circle(size=30, opacity=1, aria=False)
        .encode(x=alt.X("value:Q", axis=axis, scale=scale), color=alt.value("var(--panel)"))
    )
    layers: list[Any] = [lines, dots, hollow]
    if any("expected" in row for row in rows):
        strokes = base.mark_tick(thickness=2.5, size=18, aria=False).encode(
            x=alt.X("expected:Q", axis=axis, scale=scale), color=alt.value("var(--ink)")
        )
        layers.append(strokes)
    if reference is not None:
        rule = alt.Chart(alt.InlineData(values=[{"at": reference}])).mark_rule(
            color="var(--soft)", strokeDash=[3, 3], aria=False
        )
        layers.insert(0, rule.encode(x=alt.X("at:Q", scale=scale)))
    return alt.layer(*layers)


def curves(
    rows: Sequence[Row],
    x_title: str,
    kind: Kind,
    *,
    reference: float | None = None,
    highest: float | None = None,
    width: int = HALF,
) -> alt.TopLevelMixin:
    """Many thin lines, the few `is_marked` ones strong and named at their end. What lies above `highest` is cut off.

    `rows`: x, value, low and high where there is a band, series, is_marked, is_last, said.
    """
    scale = alt.Scale(domain=[0, highest], nice=False) if highest is not None else alt.Scale(zero=True)
    y = alt.Y("value:Q", axis=axis_of(kind), scale=scale)
    base = alt.Chart(data(rows), width=width, height=300).encode(
        x=alt.X(
            "x:Q",
            title=x_title,
            axis=alt.Axis(format="d", values=whole(row["x"] for row in rows)),
            scale=alt.Scale(nice=False, zero=False),
        ),
        y=y,
        detail="series:N",
    )
    thin = base.transform_filter("!datum.is_marked").mark_line(
        strokeWidth=1, color="var(--neutral)", aria=False, clip=True
    )
    strong = base.transform_filter("datum.is_marked").mark_line(
        strokeWidth=2.5, color="var(--accent)", aria=False, clip=True
    )
    points = base.mark_circle(size=22, opacity=1, clip=True).encode(
        description="said:N",
        color=alt.condition("datum.is_marked", alt.value("var(--accent)"), alt.value("var(--neutral)")),
    )
    ends = (
        base.transform_filter("datum.is_marked && datum.is_last")
        .mark_text(align="left", dx=7, aria=False, color="var(--ink)")
        .encode(text="series:N")
    )
    layers: list[Any] = [thin, strong, points, ends]
    if any("low" in row for row in rows):
        band = base.mark_area(opacity=0.16, color="var(--accent)", aria=False, clip=True)
        layers.insert(0, band.encode(y=alt.Y("low:Q", axis=axis_of(kind), scale=scale), y2="high:Q"))
    if reference is not None:
        rule = alt.Chart(alt.InlineData(values=[{"at": reference}])).mark_rule(
            color="var(--soft)", strokeDash=[3, 3], aria=False
        )
        layers.insert(0, rule.encode(y=alt.Y("at:Q", scale=scale)))
    named = (row["series"] for row in rows if row["is_marked"] and row["is_last"])
    return alt.layer(*layers).properties(padding=room_for(named))


def heat_map(rows: Sequence[Row], x_title: str | None, *, width: int = HALF, step: int = 21) -> alt.TopLevelMixin:
    """A grid whose cells are the stronger in colour the higher their `share` is among them.

    `rows`, in the order of y: x, x_rank, y, share, shown, said.
    """
    lowest, highest = min(row["share"] for row in rows), max(row["share"] for row in rows)
    rows = [{**row, "weight": (row["share"] - lowest) / ((highest - lowest) or 1)} for row in rows]
    across = list(dict.fromkeys(row["x"] for row in sorted(rows, key=lambda row: row["x_rank"])))
    # a name that is wider than its cell has a line for each word
    is_narrow = any(LETTER * len(str(name)) * len(across) > 0.85 * width for name in across)
    lines = max(str(name).count(" ") for name in across) if is_narrow else 0
    base = alt.Chart(data(rows), width=width, height=alt.Step(step)).encode(
        x=alt.X(
            "x:O",
            sort=across,
            title=x_title,
            axis=alt.Axis(
                labelAngle=0,
                orient="top",
                labelLimit=110,
                domain=False,
                ticks=False,
                labelExpr="split(datum.label, ' ')" if is_narrow else "datum.label",
                labelPadding=6 + 14 * lines,
            ),
        ),
        y=alt.Y(
            "y:O",
            sort=list(dict.fromkeys(row["y"] for row in rows)),
            title=None,
            axis=alt.Axis(labelLimit=220, labelColor="var(--ink)"),
        ),
    )
    cells = base.mark_rect(color="var(--accent)", stroke="var(--panel)", strokeWidth=2, cornerRadius=3).encode(
        fillOpacity=alt.FillOpacity("weight:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, STRONGEST]), legend=None),
        description="said:N",
    )
    grid = alt.layer(cells, base.mark_text(fontSize=11.5, aria=False).encode(text="shown:N"))
    return grid.properties(usermeta=FIXED) if len(across) > TOO_MANY else grid


def bars(
    rows: Sequence[Row], *, unit: str | None = None, width: int = HALF, highest: float | None = None
) -> alt.TopLevelMixin:
    """One bar a label with its number at the end, which is why no axis repeats it.

    `rows`, in order: label, value, shown, colour, said. Where bars are on their way to `highest`, the way is drawn.
    """
    reach = highest if highest is not None else max((float(row["value"] or 0) for row in rows), default=0)
    scale = alt.Scale(domain=[0, reach or 1], nice=False)
    axis = alt.Axis(title=unit, labels=False, ticks=False, grid=False, domain=False)
    base = alt.Chart(data([{**row, "reach": reach} for row in rows]), width=width, height=alt.Step(28)).encode(
        y=alt.Y(
            "label:N",
            sort=[row["label"] for row in rows],
            title=None,
            axis=alt.Axis(labelColor="var(--ink)", labelLimit=200),
        ),
        x=alt.X("value:Q", axis=axis, scale=scale),
    )
    marks = base.mark_bar(size=16, cornerRadius=1).encode(
        color=alt.Color("colour:N", scale=None, legend=None), description="said:N"
    )
    labels = base.mark_text(align="left", dx=6, aria=False).encode(text="shown:N")
    layers: list[Any] = [marks, labels]
    if highest is not None:
        way = base.mark_bar(size=16, cornerRadius=1, color="var(--rule)", aria=False)
        layers = [way.encode(x=alt.X("reach:Q", axis=axis, scale=scale)), marks]
        layers.append(labels.encode(x=alt.X("reach:Q", axis=axis, scale=scale)))
    return alt.layer(*layers).properties(padding=room_for(row["shown"] for row in rows))


def columns(rows: Sequence[Row], x_title: str, kind: Kind, *, unit: str | None = None) -> alt.TopLevelMixin:
    """A histogram. `rows`: x, value, said."""
    chart: alt.Chart = (
        alt.Chart(data(rows), width=HALF, height=240)
        .mark_bar(color="var(--accent)", cornerRadius=1)
        .encode(
            x=alt.X("x:O", title=x_title, axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=5)),
            y=alt.Y("value:Q", axis=axis_of(kind, unit=unit)),
            description="said:N",
        )
    )
    return chart

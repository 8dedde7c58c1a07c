"""The pictures, as Vega-Lite.

Colours are the page's own custom properties, so that light, dark and print need one picture. Every mark carries a
sentence (`said`): a screen reader reads it and the pointer shows it.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import altair as alt
import vl_convert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dashboard.content import Kind
    from dashboard.published import Row

VEGA_LITE = "6.1"
HALF, FULL = 500, 1060  # CSS pixels of a picture's drawing area in half and in whole width
AXIS_FORMATS: dict[Kind, str] = {
    "money": "~s",
    "count": ",d",
    "share": ".0%",
    "ratio": "~g",
    "days": ",d",
}

MOVEMENTS = {
    "new": "var(--gain-1)",
    "reactivation": "var(--gain-2)",
    "expansion": "var(--gain-3)",
    "contraction": "var(--loss-2)",
    "churn": "var(--loss-1)",
    "exchange rates": "var(--neutral)",
}


def drawn(chart: alt.TopLevelMixin, anchor: str) -> str:
    """The chart as SVG that scales with its column. Ids are made the section's own: a page holds many pictures."""
    svg = vl_convert.vegalite_to_svg(themed(chart).to_dict(), vl_version=VEGA_LITE)
    svg = re.sub(r'(id="|url\(#)(\w+)', rf"\1{anchor}-\2", svg)
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError(f"The picture of {anchor} has no size.")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="{found[0][9:-1]}" role="group"'
    head += f' aria-labelledby="{anchor}-title"'
    return re.sub(r"<svg [^>]*>", f'{head} style="max-width: {found[1]}px">', svg, count=1)


def themed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """The page's type and colours on a chart."""
    font = "Inter, system-ui, 'Segoe UI', sans-serif"
    axis = {
        "domainColor": "var(--rule-strong)", "gridColor": "var(--rule)", "tickColor": "var(--rule-strong)",
        "labelColor": "var(--soft)", "titleColor": "var(--soft)", "labelFont": font, "titleFont": font,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelPadding": 6, "titlePadding": 10,
    }  # fmt: skip
    legend = {
        "labelColor": "var(--ink)", "titleColor": "var(--soft)", "labelFont": font, "titleFont": font,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "orient": "top", "title": None,
        "symbolType": "square", "symbolStrokeWidth": 0, "columnPadding": 14,
    }  # fmt: skip
    config: dict[str, Any] = {
        "background": "transparent",
        "padding": {"left": 22, "right": 12, "top": 5, "bottom": 5},
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "legend": legend,
        "text": {"font": font, "fontSize": 12, "color": "var(--ink)"},
        "header": {"labelFont": font, "labelColor": "var(--ink)", "labelFontSize": 12, "title": None},
    }
    themed: alt.TopLevelMixin = chart.configure(**config)
    return themed


def bridge(steps: Sequence[Row], floor: Decimal) -> alt.TopLevelMixin:
    """A waterfall read from top to bottom, its axis beginning at `floor`.

    `steps`, in order: step, from, to, top, role (`balance` or a movement), label, said.
    """
    order = [step["step"] for step in steps]
    ends = [float(step[end]) for step in steps for end in ("from", "to")]
    scale = alt.Scale(domain=[float(floor), max(ends) + 0.12 * (max(ends) - float(floor))], nice=False, zero=False)
    base = alt.Chart(_data(steps), width=HALF - 40, height=alt.Step(32)).encode(
        y=alt.Y("step:N", sort=order, title=None, axis=alt.Axis(labelColor="var(--ink)")),
    )
    bars = base.mark_bar(size=20, cornerRadius=2).encode(
        x=alt.X("from:Q", axis=_axis("money", is_across=True), scale=scale),
        x2="to:Q",
        color=alt.Color("role:N", scale=_colours({"balance": "var(--accent)", **MOVEMENTS}), legend=None),
        description="said:N",
    )
    labels = base.mark_text(dx=6, align="left", aria=False).encode(
        x=alt.X("top:Q", scale=scale), text=alt.Text("label:N")
    )
    return alt.layer(bars, labels)


def movements(rows: Sequence[Row]) -> alt.TopLevelMixin:
    """Gains above the line and losses below it, by month. `rows`: month, movement, amount, said."""
    chart: alt.Chart = (
        alt.Chart(_data(rows), width=FULL, height=260)
        .mark_bar(cornerRadius=1)
        .encode(
            x=_months(rows),
            y=alt.Y("amount:Q", axis=_axis("money")),
            color=alt.Color(
                "movement:N", scale=_colours(MOVEMENTS), sort=list(MOVEMENTS), legend=alt.Legend(columns=6)
            ),
            order="rank:Q",
            description="said:N",
        )
    )
    return chart


def bands(
    rows: Sequence[Row], kind: Kind, colours: dict[str, str], *, width: int = HALF, is_from_zero: bool = False
) -> alt.TopLevelMixin:
    """Lines over months with their 95 % bands. `rows`: month, series, value, low, high, said."""
    base = alt.Chart(_data(rows), width=width, height=260).encode(
        x=_months(rows),
        color=alt.Color(
            "series:N", scale=_colours(colours), legend=alt.Legend(symbolOpacity=1) if len(colours) > 1 else None
        ),
    )
    scale = alt.Scale(zero=is_from_zero, nice=True)
    area = base.mark_area(opacity=0.18, aria=False).encode(y=alt.Y("low:Q", axis=_axis(kind), scale=scale), y2="high:Q")
    line = base.mark_line(strokeWidth=2, aria=False).encode(y=alt.Y("value:Q", scale=scale))
    points = base.mark_circle(size=46, opacity=1).encode(y=alt.Y("value:Q", scale=scale), description="said:N")
    return alt.layer(area, line, points)


def intervals(
    rows: Sequence[Row],
    kind: Kind,
    *,
    colours: dict[str, str] | None = None,
    reference: float | None = None,
    logarithmic: bool = False,
    unit: str | None = None,
) -> alt.TopLevelMixin:
    """One line a label: the interval as a bar, the value as a dot; what is weak is grey.

    `rows`, in order: label, series (a name of `colours`, one line each), value, low, high, is_weak, said, and where
    something was foretold also expected, which is drawn as a stroke.
    """
    colours = colours or {"": "var(--accent)"}
    rows = [{"series": "", **row} for row in (_above_zero(rows) if logarithmic else rows)]
    scale = alt.Scale(type="log", nice=False) if logarithmic else alt.Scale(zero=True)
    step = alt.Step(30 if len(colours) == 1 else 36, **{"for": "position"})
    colour = alt.Color(
        "series:N", scale=_colours(colours), legend=alt.Legend(symbolOpacity=1) if len(colours) > 1 else None
    )
    base = alt.Chart(_data(rows), width=HALF, height=step).encode(
        y=alt.Y(
            "label:N",
            sort=list(dict.fromkeys(row["label"] for row in rows)),
            title=None,
            axis=alt.Axis(labelColor="var(--ink)", labelLimit=180),
        ),
        color=alt.condition("datum.is_weak", alt.value("var(--neutral)"), colour),
    )
    if len(colours) > 1:
        base = base.encode(yOffset=alt.YOffset("series:N", sort=list(colours)))
    axis = _axis(kind, unit=unit, is_across=True)
    if logarithmic:
        values = _decades(row[end] for row in rows for end in ("low", "high"))
        axis = alt.Axis(format=AXIS_FORMATS[kind], grid=True, title=axis["title"], values=values, labelOverlap=False)
    bars = base.mark_bar(size=7, opacity=0.3, cornerRadius=3, aria=False).encode(
        x=alt.X("low:Q", axis=axis, scale=scale), x2="high:Q"
    )
    dots = base.mark_circle(size=90, opacity=1).encode(x=alt.X("value:Q", scale=scale), description="said:N")
    layers: list[Any] = [bars, dots]
    if any("expected" in row for row in rows):
        strokes = base.mark_tick(thickness=2, size=18, aria=False).encode(
            x=alt.X("expected:Q", scale=scale), color=alt.value("var(--ink)")
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

    `rows`: x, value, series, is_marked, is_last, said.
    """
    scale = alt.Scale(domain=[0, highest], nice=False) if highest is not None else alt.Scale(zero=True)
    y = alt.Y("value:Q", axis=_axis(kind), scale=scale)
    base = alt.Chart(_data(rows), width=width, height=300).encode(
        x=alt.X("x:Q", title=x_title, axis=alt.Axis(format="d", tickMinStep=1), scale=alt.Scale(nice=False)),
        y=y,
        detail="series:N",
    )
    thin = base.transform_filter("!datum.is_marked").mark_line(
        strokeWidth=1, color="var(--neutral)", opacity=0.6, aria=False, clip=True
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
    if reference is not None:
        rule = alt.Chart(alt.InlineData(values=[{"at": reference}])).mark_rule(
            color="var(--soft)", strokeDash=[3, 3], aria=False
        )
        layers.insert(0, rule.encode(y=alt.Y("at:Q", scale=scale)))
    return alt.layer(*layers)


def heat_map(rows: Sequence[Row], x_title: str | None, *, width: int = HALF, step: int = 21) -> alt.TopLevelMixin:
    """A grid whose cells are the darker the higher their `share` is among them.

    `rows`, in the order of y: x, x_rank, y, share, shown, said.
    """
    lowest, highest = min(row["share"] for row in rows), max(row["share"] for row in rows)
    rows = [{**row, "weight": (row["share"] - lowest) / ((highest - lowest) or 1)} for row in rows]
    across = list(dict.fromkeys(row["x"] for row in sorted(rows, key=lambda row: row["x_rank"])))
    down = list(dict.fromkeys(row["y"] for row in rows))
    base = alt.Chart(_data(rows), width=width, height=alt.Step(step)).encode(
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
                labelExpr="split(datum.label, ' ')",
                labelPadding=20 if any(" " in str(name) for name in across) else 6,
            ),
        ),
        y=alt.Y("y:O", sort=down, title=None, axis=alt.Axis(labelLimit=220, labelColor="var(--ink)")),
    )
    cells = base.mark_rect(color="var(--accent)", stroke="var(--paper)", strokeWidth=2, cornerRadius=3).encode(
        fillOpacity=alt.FillOpacity("weight:Q", scale=alt.Scale(domain=[0, 1], range=[0.05, 0.95]), legend=None),
        description="said:N",
    )
    text = base.mark_text(fontSize=11, aria=False).encode(
        text="shown:N",
        color=alt.condition("datum.weight > 0.6", alt.value("var(--on-accent)"), alt.value("var(--ink)")),
    )
    return alt.layer(cells, text)


def bars(
    rows: Sequence[Row], kind: Kind, *, unit: str | None = None, width: int = HALF, highest: float | None = None
) -> alt.TopLevelMixin:
    """One bar a label with its number at the end. `rows`: label, value, shown, colour, said; in order.

    The axis ends at `highest`, or where the longest bar does.
    """
    scale = alt.Scale(domain=[0, highest]) if highest is not None else alt.Scale(zero=True)
    order = [row["label"] for row in rows]
    base = alt.Chart(_data(rows), width=width, height=alt.Step(28)).encode(
        y=alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelColor="var(--ink)", labelLimit=200)),
        x=alt.X("value:Q", axis=_axis(kind, unit=unit, is_across=True), scale=scale),
    )
    marks = base.mark_bar(size=16, cornerRadius=2).encode(
        color=alt.Color("colour:N", scale=None, legend=None), description="said:N"
    )
    labels = base.mark_text(align="left", dx=6, aria=False).encode(text="shown:N")
    return alt.layer(marks, labels)


def columns(rows: Sequence[Row], x_title: str, kind: Kind, *, unit: str | None = None) -> alt.TopLevelMixin:
    """A histogram. `rows`: x, value, said."""
    chart: alt.Chart = (
        alt.Chart(_data(rows), width=HALF, height=240)
        .mark_bar(color="var(--accent)", cornerRadius=1)
        .encode(
            x=alt.X("x:O", title=x_title, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", axis=_axis(kind, unit=unit)),
            description="said:N",
        )
    )
    return chart


def _axis(kind: Kind, *, unit: str | None = None, is_across: bool = False) -> alt.Axis:
    """An axis of numbers; its unit stands below it, or over its upper end. Shares carry theirs in every label."""
    unit = unit or ("USD" if kind == "money" else None)
    if is_across:
        return alt.Axis(format=AXIS_FORMATS[kind], tickCount=5, grid=True, title=unit)
    return alt.Axis(
        format=AXIS_FORMATS[kind], tickCount=6, title=unit,
        titleAngle=0, titleAlign="right", titleBaseline="bottom", titleX=-6, titleY=-12,
    )  # fmt: skip


def _above_zero(rows: Sequence[Row]) -> list[Row]:
    """What a logarithmic axis can show: an interval that reaches down to zero or below goes on to the axis' end."""
    known = [row for row in rows if row["value"] > 0]
    lowest = min((end for row in known for end in (row["low"], row["value"]) if end and end > 0), default=None)
    return [{**row, "low": row["low"] and max(row["low"], lowest)} for row in known]


def _decades(ends: Iterable[Any]) -> list[float]:
    """1, 2 and 5 of each power of ten between the ends: what a logarithmic axis names."""
    known = sorted(float(end) for end in ends if end)
    if not known:
        return []
    powers = range(math.floor(math.log10(known[0])), math.ceil(math.log10(known[-1])) + 1)
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if known[0] <= step * 10.0**power <= known[-1]]


def _months(rows: Sequence[Row]) -> alt.X:
    """Months in the rows' order: their names do not sort."""
    return alt.X(
        "month:O",
        sort=list(dict.fromkeys(row["month"] for row in rows)),
        title=None,
        axis=alt.Axis(labelAngle=0, labelOverlap=True),
    )


def _colours(colours: dict[str, str]) -> alt.Scale:
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def _data(rows: Iterable[Row]) -> alt.InlineData:
    """The rows as Vega takes them. Decimals become floats, which only places the marks: what people read is text."""
    return alt.InlineData(
        values=[
            {key: float(value) if isinstance(value, Decimal) else value for key, value in row.items()} for row in rows
        ]
    )

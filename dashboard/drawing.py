"""What all pictures share: their type, colours and axes, and how a Vega-Lite description becomes SVG in a page.

Colours are the page's own custom properties, so that light, dark and print need one picture. A picture is as wide as
its column (`HALF` or `FULL`), so that its type is as large as the text around it; for narrower columns (a tablet, a
phone, paper) it is drawn again, and the page shows the one that fits.
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
HALF, FULL = 540, 1146  # CSS pixels of a picture in half and in whole width, axes and labels included
# the same for the widths it is drawn again in, by the name of the class that page.css shows it by
NARROWER = {HALF: {"slim": 340}, FULL: {"middle": 680, "slim": 340}}
TOO_MANY = 6  # columns of a grid that a phone cannot hold: it stays as it is, and scrolls
# the type that measured the labels may be narrower than the reader's: what is left of them leaves room for the rest
EDGES = {"left": 22.0, "top": 5.0, "bottom": 5.0}
FIXED = {"fixed": True}  # what a chart carries that cannot be drawn narrower
LETTER = 7.0  # CSS pixels that a letter of a label takes, at most
AXIS_FORMATS: dict[Kind, str] = {
    "money": "~s",
    "dollars": "~s",
    "count": ",d",
    "share": ".0%",
    "ratio": "~g",
    "days": ",d",
}


def drawn(chart: alt.TopLevelMixin, anchor: str) -> str:
    """The chart as SVG that scales with its column, once for each width that it is drawn in.

    Ids are made the section's own: a page holds many pictures.
    """
    spec = themed(chart).to_dict()
    if spec.get("usermeta") == FIXED:
        return _svg(spec, anchor, "")
    pictures = [_svg(spec, anchor, "broad")]
    for name, width in NARROWER[spec["width"]].items():
        pictures.append(_svg(_narrowed({**spec, "width": width}, width), anchor, name))
    return "".join(pictures)


def _svg(spec: dict[str, Any], anchor: str, name: str) -> str:
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    svg = re.sub(r'(id="|url\(#)(\w+)', rf"\1{anchor}-{name}\2", svg)
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError(f"The picture of {anchor} has no size.")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="{f"picture {name}".strip()}" viewBox="{found[0][9:-1]}"'
    head += f' role="group" aria-labelledby="{anchor}-title"'
    return re.sub(r"<svg [^>]*>", f'{head} style="--natural: {found[1]}px">', svg, count=1)


def _narrowed(part: Any, width: int) -> Any:
    """A part of a description for a narrower column: fewer names in a line, and none longer than its share of it."""
    if isinstance(part, dict):
        narrower = {key: _narrowed(value, width) for key, value in part.items() if key != "values"}
        if "values" in part:
            narrower["values"] = part["values"]
        if "labelLimit" in part:
            narrower["labelLimit"] = min(part["labelLimit"], 0.48 * width)
        if part.get("labelOverlap") is False:
            narrower |= {"labelOverlap": "greedy", "labelSeparation": 6}
        if "tickCount" in part:
            narrower["tickCount"] = 4
        if isinstance(part.get("legend"), dict) and "columns" in part["legend"]:
            columns = min(part["legend"]["columns"], (width - 60) // 100)
            narrower["legend"] = {**part["legend"], "columns": columns}
        return narrower
    return [_narrowed(each, width) for each in part] if isinstance(part, list) else part


def themed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """The page's type and colours on a chart, its width that of the column."""
    font = "Inter, system-ui, 'Segoe UI', sans-serif"
    axis = {
        "domainColor": "var(--rule-strong)", "gridColor": "var(--rule)", "tickColor": "var(--rule-strong)",
        "labelColor": "var(--soft)", "titleColor": "var(--soft)", "labelFont": font, "titleFont": font,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelPadding": 6, "titlePadding": 10,
        "aria": False,  # every mark says in its own sentence what an axis would have to be read for
    }  # fmt: skip
    legend = {
        "labelColor": "var(--ink)", "titleColor": "var(--soft)", "labelFont": font, "titleFont": font,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "orient": "top", "title": None,
        "symbolType": "square", "symbolStrokeWidth": 0, "columnPadding": 14, "aria": False,
    }  # fmt: skip
    config: dict[str, Any] = {
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": "transparent",
        "padding": {**EDGES, "right": 12},
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


def room_for(labels: Iterable[str]) -> dict[str, float]:
    """The padding of a picture that writes labels at the right end of its marks.

    The picture makes room for them as it measured them; this is for a reader's type that is wider.
    """
    return {**EDGES, "right": 12 + 2.0 * max(map(len, labels), default=0)}


def axis_of(kind: Kind, *, unit: str | None = None, is_across: bool = False) -> alt.Axis:
    """An axis of numbers; its unit stands below it, or over its upper end. Shares carry theirs in every label."""
    unit = unit or ("USD" if kind in {"money", "dollars"} else None)
    if is_across:
        return alt.Axis(format=AXIS_FORMATS[kind], tickCount=5, grid=True, title=unit)
    return alt.Axis(
        format=AXIS_FORMATS[kind], tickCount=6, title=unit,
        titleAngle=0, titleAlign="right", titleBaseline="bottom", titleX=-6, titleY=-12,
    )  # fmt: skip


def above_zero(rows: Sequence[Row]) -> list[Row]:
    """What a logarithmic axis can show: an interval that reaches down to zero or below goes on to the axis' end."""
    known = [row for row in rows if row["value"] > 0]
    lowest = min((end for row in known for end in (row["low"], row["value"]) if end and end > 0), default=None)
    return [{**row, "low": None if row["low"] is None else max(row["low"], lowest)} for row in known]


def decades(ends: Iterable[Any]) -> list[float]:
    """1, 2 and 5 of each power of ten between the ends: what a logarithmic axis names."""
    known = sorted(float(end) for end in ends if end)
    if not known:
        return []
    powers = range(math.floor(math.log10(known[0])), math.ceil(math.log10(known[-1])) + 1)
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if known[0] <= step * 10.0**power <= known[-1]]


def whole(values: Iterable[int]) -> list[int]:
    """Which of the whole numbers an axis names: round ones, twenty at most."""
    known = sorted(set(values))
    reach = known[-1] - known[0] if known else 0
    step = next(step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power) if step * 19 >= reach)
    return list(range(-(-known[0] // step) * step, known[-1] + 1, step)) if known else []


def months(rows: Sequence[Row]) -> alt.X:
    """Months in the rows' order: their names do not sort. The year stands below the month."""
    return alt.X(
        "month:O",
        sort=list(dict.fromkeys(row["month"] for row in rows)),
        title=None,
        axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=4, labelExpr="split(datum.label, ' ')"),
    )


def colour_scale(colours: dict[str, str]) -> alt.Scale:
    """Each name its colour, in this order."""
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def data(rows: Iterable[Row]) -> alt.InlineData:
    """The rows as Vega takes them. Decimals become floats, which only places the marks: what people read is text."""
    return alt.InlineData(
        values=[
            {key: float(value) if isinstance(value, Decimal) else value for key, value in row.items()} for row in rows
        ]
    )


def apart(values: Sequence[float], gap: float) -> list[float]:
    """The values moved up as little as keeps each `gap` above the one below it, in the order given."""
    moved, last = dict[int, float](), -math.inf
    for place in sorted(range(len(values)), key=values.__getitem__):
        last = moved[place] = max(values[place], last + gap)
    return [moved[place] for place in range(len(values))]

"""What a page is made of: tiles, sections, charts and tables, and how a value of each kind is written.

A value keeps the mart's own digits: what is shown is rounded to the kind's digits, what the page carries is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt

    from dashboard.published import Row

# `dollars` is money that was estimated: cents of it would be a precision that nobody has. A `name` comes from outside
# and is shown letter by letter; `text` is the project's own and its ids are shown as words.
Kind = Literal["money", "dollars", "count", "share", "ratio", "days", "date", "instant", "name", "text"]

DIGITS: dict[Kind, int] = {"money": 2, "dollars": 0, "count": 0, "share": 1, "ratio": 2, "days": 0}
MISSING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a mart. `exact` is its text as published, `shown` what a reader sees before a locale is applied."""

    raw: Any
    kind: Kind

    @property
    def is_number(self) -> bool:
        """Whether a locale changes how it is written."""
        return self.raw is not None and self.kind in DIGITS

    @property
    def digits(self) -> int:
        """Digits after the point; of a share, of its per cent."""
        return DIGITS.get(self.kind, 0)

    @property
    def exact(self) -> str:
        """The published value, every digit of it; empty if there is none."""
        if self.raw is None:
            return ""
        if isinstance(self.raw, datetime):
            return self.raw.replace(tzinfo=None).isoformat() + "Z"  # instants are UTC, whether they say so or not
        if isinstance(self.raw, date):
            return self.raw.isoformat()
        return str(self.raw)

    @property
    def shown(self) -> str:
        """The value as written where no locale is known: a comma between thousands, a point before the fraction."""
        if self.raw is None:
            return MISSING
        if self.kind == "date":
            return f"{self.raw:%d %b %Y}"
        if self.kind == "instant":
            return f"{self.raw:%d %b %Y %H:%M} UTC"
        if not self.is_number:
            return str(self.raw)
        number = Decimal(str(self.raw)) * (100 if self.kind == "share" else 1)
        rounded = number.quantize(Decimal(1).scaleb(-self.digits), rounding=ROUND_HALF_EVEN)
        return f"{rounded:,}{'%' if self.kind == 'share' else ''}"

    @property
    def words(self) -> str:
        """The value as text: ids of the playbook as words, everything else letter by letter."""
        if self.kind == "name":
            return self.shown
        parts = self.shown.split(", ")
        return self.shown.replace("_", " ") if all(part.isidentifier() for part in parts) else self.shown


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95% interval and the number it rests on."""

    value: Value
    low: Value
    high: Value
    n: Value

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return self.low.raw is not None and self.high.raw is not None


def estimate(row: Row, name: str, kind: Kind) -> Estimate:
    """The estimate `name` of a row, from its columns x, x_low, x_high, x_n."""
    low, high = (Value(row.get(f"{name}_{end}"), kind) for end in ("low", "high"))
    return Estimate(Value(row[name], kind), low, high, Value(row.get(f"{name}_n"), "count"))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the row's key, its heading, its kind; an estimate brings its interval along."""

    key: str
    label: str
    kind: Kind = "text"
    is_estimate: bool = False

    def cell(self, row: Row) -> Value | Estimate:
        """The row's value here; a row may bring a value of a kind of its own."""
        found = row[self.key]
        if isinstance(found, Value):
            return found
        return estimate(row, self.key, self.kind) if self.is_estimate else Value(row[self.key], self.kind)

    @property
    def is_number(self) -> bool:
        """Whether it is set flush right."""
        return self.kind in DIGITS


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. The first column is each row's heading."""

    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Tile:
    """One number at the head of a page."""

    label: str
    figure: Value | Estimate
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One finding: a title that asks, a sentence that answers, a picture, and the numbers behind it.

    `chart` is a description to be drawn, or SVG within HTML, drawn already. `marts` are the tables it was read from;
    `is_wide` takes the whole width; `is_list` shows the table at once instead of behind the picture.
    """

    anchor: str
    title: str
    sentence: str
    table: Table
    marts: Sequence[str]
    chart: alt.TopLevelMixin | str | None = None
    note: str = ""
    is_wide: bool = False
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page for one kind of reader."""

    name: str
    title: str
    question: str
    tiles: Sequence[Tile]
    sections: Sequence[Section] = field(default_factory=tuple)

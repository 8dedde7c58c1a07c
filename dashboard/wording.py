"""Values as a sentence writes them: in a finding, in what a mark of a picture says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard.content import Value

if TYPE_CHECKING:
    from dashboard.content import Kind
    from dashboard.published import Row


def written(raw: Any, kind: Kind) -> str:
    """A value of any kind."""
    return Value(raw, kind).shown


def money(raw: Any) -> str:
    """US dollars to the cent, without the currency's name."""
    return written(raw, "money")


def dollars(raw: Any) -> str:
    """Estimated US dollars, whole, without the currency's name."""
    return written(raw, "dollars")


def count(raw: Any) -> str:
    """A whole number."""
    return written(raw, "count")


def several(number: Any, one: str, many: str | None = None) -> str:
    """A number with what is counted, in the singular where it is one: 1 customer, 2 customers."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def share(raw: Any) -> str:
    """A share of one, in per cent."""
    return written(raw, "share")


def interval(row: Row, name: str, kind: Kind) -> str:
    """The 95% interval of an estimate, or that there is none."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is None or high is None:
        return "too little for an interval"
    return f"95% interval {written(low, kind)} to {written(high, kind)}"


def named(name: str) -> str:
    """A name from outside within a sentence: it keeps its own direction of writing, and its digits stay as they are."""
    return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}"


def plain(name: str) -> str:
    """An id of the playbook as words."""
    return name.replace("_", " ")

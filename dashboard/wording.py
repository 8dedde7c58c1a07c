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


def count(raw: Any) -> str:
    """A whole number."""
    return written(raw, "count")


def share(raw: Any) -> str:
    """A share of one, in per cent."""
    return written(raw, "share")


def days(raw: Any) -> str:
    """Whole days or months."""
    return written(raw, "days")


def interval(row: Row, name: str, kind: Kind) -> str:
    """The 95% interval of an estimate."""
    return f"95% interval {written(row[f'{name}_low'], kind)} to {written(row[f'{name}_high'], kind)}"


def plain(name: str) -> str:
    """An id of the playbook as words."""
    return name.replace("_", " ")

"""How a benchmark states its figures: a row each, with what it was measured against in the same run, and a bar."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    `value` and `bar` are in `unit`; `bar_is` says on which side of the bar the figure has to lie. A figure without
    a bar is stated for the reader and always holds.
    """

    name: str
    value: float
    unit: str
    against: str = ""
    ratio: float | None = None
    bar: float | None = None
    bar_is: str = "at most"

    @property
    def holds(self) -> bool:
        """Whether the figure lies on the right side of its bar."""
        if self.bar is None:
            return True
        return self.value <= self.bar if self.bar_is == "at most" else self.value >= self.bar


def main(measure: Callable[[argparse.Namespace], Sequence[Figure]], parser: argparse.ArgumentParser) -> None:
    """Parse the arguments, measure, print a row per figure, and exit 1 if a bar does not hold."""
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    arguments = parser.parse_args()
    figures = measure(arguments)
    if arguments.json:
        document = [{**asdict(figure), "holds": figure.holds} for figure in figures]
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        table = Table("figure", "value", "unit", "measured against", "ratio", "bar", "holds")
        for figure in figures:
            bar = "" if figure.bar is None else f"{figure.bar_is} {figure.bar:g}"
            ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
            holds = "" if figure.bar is None else ("yes" if figure.holds else "NO")
            table.add_row(figure.name, f"{figure.value:.6g}", figure.unit, figure.against, ratio, bar, holds)
        console = Console()
        # a pipe or a file has no width of its own; eighty columns would break every figure over five lines
        (console if console.is_terminal else Console(width=160)).print(table)
    if not all(figure.holds for figure in figures):
        sys.exit(1)

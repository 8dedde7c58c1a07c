"""The gate's score in tables: what becomes of the defects of each class, and of clean variations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gate_scenarios import CLASSES, CLEAN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE = Path(__file__).resolve().parent.parent / "docs" / "gate_score.md"
LEAST_DEFECTS, LEAST_VARIATIONS = 60, 20
DEFECT_OUTCOMES = ("stopped", "flagged", "harmless", "unnamed", "MISSED")
CLEAN_OUTCOMES = ("passes", "flagged", "BLOCKED")
BEGIN, END = "<!-- drawn by python -m benchmarks.gates --write: begin -->", "<!-- drawn: end -->"


def summary(rows: Sequence[dict[str, Any]], *, is_whole: bool) -> dict[str, Any]:
    """How many of what, and whether it is enough: no defect that changes a number unnamed, no variation blocked.

    `rows` are of `Judged.as_row`. `is_whole` asks for the least numbers of both, too.
    """
    clean = Counter(row["outcome"] for row in rows if row["class"] == CLEAN)
    wrong = Counter(row["outcome"] for row in rows if row["class"] != CLEAN)
    is_enough = not is_whole or (wrong.total() >= LEAST_DEFECTS and clean.total() >= LEAST_VARIATIONS)
    return {
        "defects": wrong.total(),
        **{outcome: wrong[outcome] for outcome in DEFECT_OUTCOMES},
        "variations": clean.total(),
        **{f"variations {outcome}": clean[outcome] for outcome in CLEAN_OUTCOMES},
        "holds": not (wrong["MISSED"] or wrong["unnamed"] or clean["BLOCKED"]) and is_enough,
    }


def line(row: dict[str, Any]) -> str:
    """One scenario on a terminal."""
    named = row["named_by"]
    checks = ", ".join(named[:3]) + (" ..." if len(named) > 3 else "")
    marts = "" if row["changed_marts"] is None else f"{len(row['changed_marts'])} marts"
    return f"{row['outcome']:<9}{row['scenario']:<56}{marts:>9}  {checks or ', '.join(row['also'][:3])}"


def by_class(rows: Iterable[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Class, planted, and one number per outcome of defects; the last row is the sum."""
    counts = {kind: Counter[str]() for kind in CLASSES}
    for row in rows:
        if row["class"] != CLEAN:
            counts[row["class"]][row["outcome"]] += 1
    every = [*((kind, count) for kind, count in counts.items() if count), ("all", sum(counts.values(), Counter()))]
    return [(kind, str(count.total()), *(str(count[outcome]) for outcome in DEFECT_OUTCOMES)) for kind, count in every]


def page(rows: Sequence[dict[str, Any]], said: dict[str, Any], measured: str) -> str:
    """The drawn part of docs/gate_score.md; `measured` is a sentence on when, where and at what cost."""
    clean = [row for row in rows if row["class"] == CLEAN]
    wrong = [row for row in rows if row["class"] != CLEAN]
    parts = [
        (
            f"{measured} On the day as it is, before anything is planted, the gate is open and warns of:"
            f" {said['warns without a change']}. What warns anyway counts for a defect only where it blocks instead."
        ),
        "",
        *_table(("class of defect", "planted", *(outcome.lower() for outcome in DEFECT_OUTCOMES)), by_class(rows)),
        "",
        *_table(
            ("clean variations", *(outcome.lower() for outcome in CLEAN_OUTCOMES)),
            [(str(len(clean)), *(str(said[f"variations {outcome}"]) for outcome in CLEAN_OUTCOMES))],
        ),
        "",
        "## Each defect",
        "",
        *_table(
            ("defect", "class", "outcome", "named by"),
            [(row["scenario"], row["class"], row["outcome"].lower(), _code(row["named_by"])) for row in wrong],
        ),
        "",
        "## Each clean variation",
        "",
        *_table(
            ("variation", "outcome", "flagged by"),
            [(row["scenario"], row["outcome"].lower(), _code(row["named_by"] + row["also"])) for row in clean],
        ),
    ]
    return "\n".join(parts)


def write(drawn: str, path: Path = PAGE) -> None:
    """Put the drawn part into the page, between its marks.

    Raises:
        ValueError: if the page has not both marks, in their order.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has to have the lines {BEGIN} and {END}.")
    path.write_text(f"{before}{BEGIN}\n\n{drawn}\n\n{END}{after}", encoding="utf-8")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _code(checks: Sequence[str]) -> str:
    shown = ", ".join(f"`{check}`" for check in checks[:3])
    return f"{shown} and {len(checks) - 3} more" if len(checks) > 3 else shown

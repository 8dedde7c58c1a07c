"""How much does the gate see? Defects and clean variations are planted into a day's raw data, and the gate is asked.

    python -m benchmarks.gates                      # a small world of its own: made, published, and one day later
    python -m benchmarks.gates --only invoices      # those whose name has the word
    python -m benchmarks.gates --world FOLDER       # keeps the world there, and uses it again
    python -m benchmarks.gates --seed 7             # another company
    python -m benchmarks.gates --size 0.5           # one with half the customers and half their use
    python -m benchmarks.gates --raw                # defects by the checks of raw tables only; no variations
    python -m benchmarks.gates --whole              # builds everything for defects that the raw tables only flag, too
    python -m benchmarks.gates --write              # draws the tables of docs/gate_score.md
    python -m benchmarks.gates --command 6          # asks `lifecycle gate` itself about six: do both agree?

What is exercised: the project's own models, tests, seeds and thresholds, as dbt compiles them, and the verdict that
`lifecycle/gate/` comes to over what they find, on a company that was published the day before by `lifecycle run`. Not
exercised: dbt's own build (each compiled statement is run in its place, incremental models from nothing; `--command` is
for that), silos that do not answer and how old they are, and the sizes of marts against a published file (they stand
against the unchanged day).

It is affordable because little is done twice. The raw tables of one silo say nothing of another's, so defects of
different silos are planted together and the checks of raw tables alone are asked; a failing check counts for the defect
of its own silo, and names it only if it is of its own table. Only for a defect that none of them names is everything
built that depends on it: then a failing test of a model built from it names it, too, and comparing the marts with the
unchanged day's tells whether a published number changed. So what is stopped is counted too low: what a flagged defect
does to the figures may shut the gate all the same (`--whole` asks). Variations are planted together and everything is
built; a failure that could be any one's is looked into one by one. Exit code 1 when a defect that changes a published
number passes unnamed, or a clean variation blocks.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import gate_score
from benchmarks.gate_command import agreement
from benchmarks.gate_day import made_world, unchanged
from benchmarks.gate_defects import DEFECTS
from benchmarks.gate_judging import Judge, Judged
from benchmarks.gate_scenarios import rounds
from benchmarks.gate_variations import VARIATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.gate_day import Day
    from benchmarks.gate_scenarios import Scenario

_JUDGE: list[Judge] = []  # one per worker, handed over once


def _begin(day: Day) -> None:
    _JUDGE[:] = [Judge(day)]


def _judge(work: tuple[Sequence[Scenario], bool]) -> list[Judged]:
    scenarios, is_raw = work
    return _JUDGE[0].round(scenarios, is_raw=is_raw)


def judged(day: Day, wanted: Sequence[Scenario], workers: int, depth: str) -> Iterator[Judged]:
    """Judge every scenario, as said above; in no order.

    `depth` is needed, raw (no variations, and nothing beyond the raw tables) or whole.
    """
    is_raw = depth == "raw"
    enough = {"stopped"} if depth == "whole" else {"stopped", "flagged"}
    defects = [scenario for scenario in wanted if not scenario.is_clean]
    variations = [scenario for scenario in wanted if scenario.is_clean and not is_raw]
    with ProcessPoolExecutor(workers, initializer=_begin, initargs=(day,)) as pool:
        first = [found for part in pool.map(_judge, [(planted, True) for planted in rounds(defects)]) for found in part]
        yield from (found for found in first if is_raw or found.outcome in enough)
        if is_raw:
            return
        alone = [([found.scenario], False) for found in first if found.outcome not in enough]
        for part in pool.map(_judge, [*alone, *((planted, False) for planted in rounds(variations))]):
            yield from part


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default="", help="a word that the scenario's name has")
    parser.add_argument("--world", type=Path, help="a folder to keep the world in")
    parser.add_argument("--seed", type=int, help="of the world; the sandbox's own if not given")
    parser.add_argument("--size", type=float, default=1.0, help="how many times the usual customers and use")
    for depth, meaning in (
        ("raw", "ask only the checks of raw tables, of defects"),
        ("whole", "and build the flagged"),
    ):
        parser.add_argument(f"--{depth}", dest="depth", action="store_const", const=depth, help=meaning)
    parser.set_defaults(depth="needed")
    parser.add_argument("--write", action="store_true", help="draw the tables of docs/gate_score.md")
    parser.add_argument("--command", type=int, default=0, metavar="N", help="compare N with what the commands say")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.write and (given.only or given.depth == "raw" or given.seed is not None or given.size != 1):
        parser.error("--write shows every scenario in the usual company: not with --only, --raw, --seed or --size.")
    began, load = time.perf_counter(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = given.world or Path(name) / "world"
        folder.mkdir(parents=True, exist_ok=True)
        made = "made before" if (folder / "done").exists() else "made too"
        warehouse = made_world(folder, given.seed, given.size)
        day = unchanged(warehouse, Path(name))
        wanted = [each for each in [*DEFECTS, *VARIATIONS] if given.only in each.name]
        if given.command:
            return agreement(day, folder, wanted, given.command)
        found: dict[str, Judged] = {}
        for each in judged(day, wanted, given.workers, given.depth):
            found[each.scenario.name] = each
            print(f"{len(found)} of {len(wanted)}: {gate_score.line(each.as_row())}", file=sys.stderr)  # noqa: T201
    rows = [found[each.name].as_row() for each in wanted if each.name in found]
    said = gate_score.summary(rows, is_whole=not given.only and given.depth != "raw")
    said |= {
        "warns without a change": ", ".join(sorted(day.failing)) or "nothing",
        "seconds": round(time.perf_counter() - began),
        "CPU seconds": round(_cpu()),
        "load when it began": round(load, 1),
    }
    if given.write:
        command = "python -m benchmarks.gates --write" + (" --whole" if given.depth == "whole" else "")
        where = f"load {said['load when it began']} on {os.cpu_count()} cores, the company {made}"
        measured = f"Measured by `{command}`: {said['CPU seconds']} CPU seconds, {where}."
        gate_score.write(gate_score.page(rows, said, measured))
    if given.json:
        print(json.dumps({"summary": said, "scenarios": rows}))  # noqa: T201
    else:
        print("\n".join(gate_score.line(row) for row in rows))  # noqa: T201
        print("\n".join("  ".join(f"{cell:<26}" for cell in row) for row in gate_score.by_class(rows)))  # noqa: T201
        print("\n".join(f"{name:<24}{value}" for name, value in said.items()))  # noqa: T201
    return 0 if said["holds"] else 1


def _cpu() -> float:
    """Seconds of processor time of this process and of all that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    sys.exit(main())

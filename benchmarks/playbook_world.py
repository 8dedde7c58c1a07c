"""Does every action of the shipped playbook happen? In the warehouse that the last run of the default world left.

An action that nothing ever sets off is words. What is about ourselves (an ignored message, a hand-off) needs days of
sending before it can occur, so those actions are counted apart; everything else has to have occurred at least once, and
each occurrence has to be a decision.

    make run && python -m benchmarks.playbook_world
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import duckdb

from benchmarks.figures import Figure, main
from lifecycle import settings

FOUND = """
    select actions.action, signals.behaviour is null and signals.state is null as is_about_us,
        count(distinct occurrences.occurrence_id) as occurred, count(distinct decisions.action_id) as decided
    from seeds.actions as actions
    inner join seeds.signal_definitions as signals using (signal_id)
    left join marts.signals as occurrences
        on actions.signal_id = occurrences.signal_id and occurrences.outcome = 'fired'
    left join marts.action_decisions as decisions
        on actions.action = decisions.action
    group by all
    order by actions.action
"""


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """How many actions occurred and were decided."""
    warehouse: Path = arguments.warehouse or settings.places().warehouse
    if not warehouse.exists():
        sys.exit(f"There is no warehouse at {warehouse}: run `make run` first.")
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        rows = connection.execute(FOUND).fetchall()
    silent = [action for action, about_us, occurred, decided in rows if not about_us and not (occurred and decided)]
    for action in silent:
        sys.stderr.write(f"{action} never occurs.\n")
    ours = [row for row in rows if row[1]]
    return [
        Figure("actions that never occur", len(silent), "", f"{len(rows) - len(ours)} set off by customers", bar=0),
        Figure("actions about ourselves that occurred", sum(1 for row in ours if row[2]), "", f"{len(ours)} in all"),
        Figure("decisions", sum(row[3] for row in rows), "", f"{len(rows)} actions"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", type=Path, help="another warehouse than the configured one")
    main(measure, parser)

"""The command line: where each command is. Exit codes: 0 done, 1 it ran and says no, 2 it could not run.

This is the one place that loads commands, and it loads the one that was asked for: database drivers, the readers of the
silos and the drawing library take seconds together, which a question or a wrong setting should not cost.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

# name: (module and what it gives, a function or a group of commands; the first words of its help)
COMMANDS = {
    "run": (
        "lifecycle.commands.steps:run_command",
        "The whole job once: ingest, build, gate, publish, activate.",
    ),
    "ingest": (
        "lifecycle.commands.steps:ingest_command",
        "Read the silos into the raw tables.",
    ),
    "build": (
        "lifecycle.commands.steps:build_command",
        "Compute every model as of the last ingest, and test it.",
    ),
    "gate": (
        "lifecycle.commands.steps:gate_command",
        "Judge the last build: may these numbers be shown?",
    ),
    "publish": (
        "lifecycle.commands.steps:publish_command",
        "Publish the last build, if its gate is open.",
    ),
    "plan": (
        "lifecycle.commands.delivery:plan_command",
        "Say what `sync` would send, and what is held back and why. Changes nothing.",
    ),
    "sync": (
        "lifecycle.commands.delivery:sync_command",
        "Deliver what the published file asks for.",
    ),
    "dead": (
        "lifecycle.commands.delivery:dead_app",
        "Deliveries that do not go on by themselves.",
    ),
    "status": (
        "lifecycle.commands.show:status_command",
        "Show what is published and delivered now.",
    ),
    "report": (
        "lifecycle.commands.show:report_command",
        "Write the pages about what is published now: executive, growth, success, trust.",
    ),
    "explain": (
        "lifecycle.explain:explain_app",
        "Say why a customer or a number is what it is. A customer's id, address or record needs no command's name.",
    ),
    "explore": (
        "lifecycle.commands.explore:explore_command",
        "Look at one customer's story, and play the past again, in the browser (needs the extra `app`).",
    ),
    "check": (
        "lifecycle.commands.check:check",
        "Judge the playbook's seeds: what is wrong, in which file, row and field, and what to do about it.",
    ),
    "doctor": (
        "lifecycle.doctor:doctor",
        "Look at configuration, keys, versions, clock, disk, warehouse and ledger, and say what to do.",
    ),
    "watch": (
        "lifecycle.watch:watch",
        "Alert if no run has ended, or nothing was published, for too long. For a scheduler of its own.",
    ),
    "docs": (
        "lifecycle.commands.docs:docs_command",
        "Write dbt's documentation (models, columns, lineage, exposures) as one page.",
    ),
    "backtest": (
        "lifecycle.commands.backtest:backtest_command",
        "Say what a signal or an action would have done over the last N days, before enabling it.",
    ),
    "forget": (
        "lifecycle.forget.command:forget_command",
        "Erase a person, or a customer with everybody in it, for good; what was erased where is written in a receipt.",
    ),
    "go-live": (
        "lifecycle.commands.go_live:go_live_app",
        "Whether real destinations may get anything, and who decided it.",
    ),
    "simulate": (
        "lifecycle.simulate:simulate_command",
        "Run the daily job day by day on a simulated company, and approve going live when the numbers have agreed.",
    ),
    "sandbox": (
        "lifecycle.commands.sandbox:sandbox_app",
        "The four silos and the four destinations on this machine.",
    ),
}


class Later(TyperCommand):
    """A command of which nothing but the name and the first words is known until it is called."""

    def __init__(self, name: str, place: str, words: str) -> None:
        super().__init__(name, help=words)
        self.place = place

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Hand the call over to the command itself."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> Any:
        """The command itself."""
        module, _, name = self.place.partition(":")
        found = getattr(importlib.import_module(module), name)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(self.name)(found)
            found = alone
        return get_command(found)


class Named(TyperGroup):
    """The commands by name, none of them loaded."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for name, (place, words) in COMMANDS.items():
            self.add_command(Later(name, place, words))


app = typer.Typer(cls=Named, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def lifecycle() -> None:
    """Four silos into one governed customer table, and the right action out of it."""


if __name__ == "__main__":
    sys.exit(app())

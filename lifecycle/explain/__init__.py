"""`lifecycle explain ...`: why a published number, or a customer, is what it is.

`lifecycle explain SUBJECT` explains a customer, by whatever identifies it: its id, an address, a silo's record. Every
other view is a command of its own (`lifecycle explain mrr ...`) in a module of its own, which gives its function and
nothing else; the routes are made here.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from lifecycle.explain.customer import explain_customer
from lifecycle.explain.mrr import explain_mrr

DEFAULT = "customer"


class Routed(TyperGroup):
    """A group whose first argument is a command's name, or else the subject of the default command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front of what names none."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [DEFAULT, *args]
        return list(super().parse_args(ctx, args))


explain_app = typer.Typer(
    cls=Routed,
    help="Say why a customer or a number is what it is. A customer's id, address or record needs no command's name.",
    no_args_is_help=True,
)
explain_app.command(DEFAULT)(explain_customer)
explain_app.command("mrr")(explain_mrr)

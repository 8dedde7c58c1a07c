"""Why another tool shows another MRR for a month: which customers differ, by how much, under which rule.

The differences are rows of the published mart `mrr_differences`, computed by putting the tool's rules in the place of
ours one after the other. Here they are read, added up, and held against both totals: a rest of one cent is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import typer

from lifecycle import settings
from lifecycle.answering import Json, answering, say
from lifecycle.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 20
ZERO = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that makes a difference: what we decide, what the tool decides, what that comes to."""

    name: str
    question: str
    ours: str
    theirs: str
    basis: str
    note: str
    difference: Decimal
    customers: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one rule makes of one customer."""

    customer_id: str
    rule: str
    difference: Decimal


@dataclass(frozen=True, slots=True)
class Explanation:
    """A month under two sets of rules. `rules` are in the order in which they take the place of ours."""

    month: date
    profile: str
    is_open_month: bool
    ours: Decimal
    theirs: Decimal
    rules: list[Rule]
    shares: list[Share]

    @property
    def rest(self) -> Decimal:
        """What the shares leave unexplained; anything but zero is a mistake of ours."""
        return self.theirs - self.ours - sum((share.difference for share in self.shares), ZERO)

    def as_json(self) -> dict[str, Any]:
        """Everything, money as text so that no digit is lost."""
        return {
            "month": f"{self.month:%Y-%m}",
            "profile": self.profile,
            "is_open_month": self.is_open_month,
            "ours": str(self.ours),
            "theirs": str(self.theirs),
            "difference": str(self.theirs - self.ours),
            "rest": str(self.rest),
            "rules": [
                {
                    "rule": rule.name,
                    "question": rule.question,
                    "ours": rule.ours,
                    "theirs": rule.theirs,
                    "basis": rule.basis,
                    "note": rule.note,
                    "difference": str(rule.difference),
                    "customers": rule.customers,
                }
                for rule in self.rules
            ],
            "customers": [
                {"customer_id": share.customer_id, "rule": share.rule, "difference": str(share.difference)}
                for share in self.shares
            ],
        }

    def as_text(self, limit: int) -> str:
        """For a terminal: totals, rules, and the customers with the largest differences."""
        shown = self.shares[:limit] if limit else self.shares
        hidden = self.shares[len(shown) :]
        bridge = [
            ("ours", f"{self.ours:,.2f}", ""),
            *(
                (f"  {rule.name}: {rule.theirs}, not {rule.ours}", _signed(rule.difference), _counted(rule.customers))
                for rule in self.rules
            ),
            (self.profile, f"{self.theirs:,.2f}", ""),
        ]
        rows = [(share.customer_id, _signed(share.difference), share.rule) for share in shown]
        if hidden:
            rows.append((f"{len(hidden)} more", _signed(sum((share.difference for share in hidden), ZERO)), ""))
        state = ", which is still open" if self.is_open_month else ""
        lines = [f"MRR of {self.month:%B %Y}{state}, in US dollars", "", *_aligned(bridge), ""]
        if rows:
            lines += ["Customers, the largest differences first", "", *_aligned(rows)]
        else:
            lines += ["No customer differs."]
        return "\n".join(lines)


def explain_mrr(
    month: Annotated[str, typer.Option("--month", help="The month, as YYYY-MM.")],
    profile: Annotated[str, typer.Option("--as", help="Whose rules: stripe, chartmogul, profitwell or baremetrics.")],
    limit: Annotated[int, typer.Option(help="How many customers to show; 0 means all.", min=0)] = SHOWN,
    as_json: Json = False,
) -> None:
    """Say which customers, under which rules, make another tool's MRR differ from ours. Adds up to the cent."""
    with answering(as_json=as_json):
        path = settings.places().complete_file.resolve()
        if not path.exists():
            raise CannotRunError("Nothing is published yet: `lifecycle run` does it all.")
        with duckdb.connect(str(path), read_only=True) as connection:
            explained = explanation(connection, _first_day(month), profile)
        say(explained.as_json(), explained.as_text(limit), as_json=as_json)
        if explained.rest:
            raise typer.Exit(1)


def explanation(connection: duckdb.DuckDBPyConnection, month: date, profile: str) -> Explanation:
    """The month under our rules and the tool's, from the marts behind `connection`.

    Raises:
        CannotRunError: if there are no rules of that name, or nothing is published of that month.
    """
    profiles = [
        name for (name,) in connection.execute("select distinct profile from marts.mrr_rules order by 1").fetchall()
    ]
    if profile not in profiles or profile == "ours":
        others = ", ".join(name for name in profiles if name != "ours")
        raise CannotRunError(f"There are no rules of '{profile}': --as takes one of {others}.")
    totals = connection.execute(
        "select is_open_month, our_closing_mrr, closing_mrr from marts.mrr_profiles where month = ? and profile = ?",
        [month, profile],
    ).fetchone()
    if totals is None:
        first, last = connection.execute("select min(month), max(month) from marts.mrr_profiles").fetchall()[0]
        reach = f"{first:%Y-%m} to {last:%Y-%m}" if first else "nothing"
        raise CannotRunError(f"Nothing is published of {month:%Y-%m}; there is {reach}.")
    rules = connection.execute(
        """
        select
            differences.rule_id, rules.question, differences.our_value, differences.their_value,
            rules.basis, rules.note,
            sum(differences.difference), count(*)
        from marts.mrr_differences as differences
        inner join marts.mrr_rules as rules
            on differences.profile = rules.profile and differences.rule_id = rules.rule_id
        where differences.month = ? and differences.profile = ?
        group by all
        order by min(differences.rule_order)
        """,
        [month, profile],
    ).fetchall()
    shares = connection.execute(
        "select customer_id, rule_id, difference from marts.mrr_differences where month = ? and profile = ?"
        " order by abs(difference) desc, customer_id, rule_order",
        [month, profile],
    ).fetchall()
    is_open_month, ours, theirs = totals
    return Explanation(
        month=month,
        profile=profile,
        is_open_month=is_open_month,
        ours=ours,
        theirs=theirs,
        rules=[Rule(*row) for row in rules],
        shares=[Share(*row) for row in shares],
    )


def _first_day(month: str) -> date:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise CannotRunError(f"'{month}' is no month: --month takes YYYY-MM.")
    return date.fromisoformat(f"{month}-01")


def _signed(amount: Decimal) -> str:
    return f"{amount:+,.2f}"


def _counted(customers: int) -> str:
    return f"{customers} customer{'' if customers == 1 else 's'}"


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    names = max(len(name) for name, _, _ in rows)
    amounts = max(len(amount) for _, amount, _ in rows)
    return [f"{name:<{names}}  {amount:>{amounts}}  {said}".rstrip() for name, amount, said in rows]

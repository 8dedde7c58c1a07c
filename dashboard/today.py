"""Who needs a person today: the mart `open_worklist`, whose rule it is, with the customers' names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dashboard.content import Column, Section, Table, Tile, Value
from dashboard.wording import count, plain, several

if TYPE_CHECKING:
    from dashboard.published import Published, Row

LONGEST = 50
WAITING = """
    select
        list.customer_id, coalesce(customers.customer_name, list.customer_id) as customer, list.owner_team as team,
        list.because, list.waiting_since, list.pick_up_by, list.is_overdue, list.lifecycle_state as state, list.mrr
    from marts.open_worklist as list
    left join marts.customer_lifecycle as customers using (customer_id)
    order by list.worklist_position
"""


def waiting(published: Published) -> list[Row]:
    """Every customer who waits for somebody, once for each team."""
    return published.rows(WAITING)


def tile(rows: list[Row]) -> Tile:
    """How many there are."""
    overdue = len({row["customer_id"] for row in rows if row["is_overdue"]})
    return Tile(
        "Need a person today",
        Value(len({row["customer_id"] for row in rows}), "count"),
        "",
        f"customers, {count(overdue) if overdue else 'none'} overdue",
    )


def section(rows: list[Row]) -> Section:
    """The list to work from."""
    teams = Counter(row["team"] for row in rows).most_common()
    overdue = sum(1 for row in rows if row["is_overdue"])
    left_out = len(rows) - LONGEST
    return Section(
        "today",
        "Who needs a person today?",
        f"Waiting for {', '.join(f'{plain(team)}: {count(number)}' for team, number in teams)}."
        f" {several(overdue, 'hand-off is', 'hand-offs are') if overdue else 'No hand-off is'} overdue."
        if rows
        else "Nobody is waiting for a person.",
        Table(
            [
                Column("customer", "Customer", "name"),
                Column("team", "Team"),
                Column("because", "Why"),
                Column("state", "State"),
                Column("waiting_since", "Waiting since", "date"),
                Column("pick_up_by", "Pick up by", "instant"),
                Column("mrr", "MRR, USD", "money"),
            ],
            rows[:LONGEST],
        ),
        ["open_worklist", "customer_lifecycle"],
        note="Hand-offs that nobody has picked up, tickets and tasks that are permitted now, and paying customers who"
        " are new to a state of danger or have stayed in one state for too long. Overdue hand-offs come first, then the"
        " most revenue."
        + (f" These are the first {LONGEST}; {count(left_out)} more are in the mart." if left_out > 0 else ""),
        is_wide=True,
        is_list=True,
    )

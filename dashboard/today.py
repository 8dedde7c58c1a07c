"""Who needs a person today: what has come to somebody's desk and is not done, most overdue and most revenue first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dashboard.content import Column, Section, Table, Tile, Value
from dashboard.wording import count, plain

if TYPE_CHECKING:
    from dashboard.published import Published, Row

LONGEST = 50
# One row per customer and the team that has to act. What asks for a person: a hand-off that nobody picked up, a ticket
# or a task that is permitted now, a paying customer who came into danger within the last week or has been in a state
# for longer than it may last.
WAITING = """
    with
    standing as (select max(as_of) as as_of from marts.publish_log where outcome = 'published'),
    asked as (
        select
            customer_id, to_team as team, 'handed over by ' || from_team || ': ' || handed_because as why,
            pick_up_by as due_at, true as also_unpaid
        from marts.hand_offs where outcome in ('waiting', 'overdue')
        union all
        select customer_id, owner_team, 'to do: ' || replace(action, '_', ' '), null, true
        from marts.action_decisions
        where decision = 'permitted' and is_open and object in ('tickets', 'tasks')
        union all
        select
            customers.customer_id, customers.state_owner_team,
            'came into ' || replace(customers.lifecycle_state, '_', ' ')
            || ' on ' || strftime(customers.state_entered_at, '%d %b'),
            null, false
        from marts.customer_lifecycle as customers, standing
        where customers.is_in_danger and customers.state_entered_at > standing.as_of - interval 7 day
        union all
        select
            customer_id, owner_team,
            'too long ' || replace(lifecycle_state, '_', ' ') || ', since ' || strftime(valid_from, '%d %b %Y'),
            null, false
        from marts.state_alarms where alarm = 'time_limit' and region = 'customer'
    )
    select
        asked.customer_id, coalesce(customers.customer_name, asked.customer_id) as customer, asked.team,
        string_agg(distinct asked.why, '; ' order by asked.why) as why, min(asked.due_at) as due_at,
        coalesce(min(asked.due_at) < min(standing.as_of), false) as is_overdue,
        customers.lifecycle_state as state, customers.mrr
    from asked
    inner join marts.customer_lifecycle as customers using (customer_id), standing
    where asked.also_unpaid or customers.mrr > 0
    group by asked.customer_id, asked.team, customers.customer_name, customers.lifecycle_state, customers.mrr
    order by is_overdue desc, customers.mrr desc nulls last, asked.customer_id, asked.team
"""


def waiting(published: Published) -> list[Row]:
    """Every customer who waits for somebody, once for each team."""
    return published.rows(WAITING)


def tile(rows: list[Row]) -> Tile:
    """How many there are."""
    overdue = sum(1 for row in rows if row["is_overdue"])
    return Tile(
        "Need a person today",
        Value(len({row["customer_id"] for row in rows}), "count"),
        "",
        f"customers, {count(overdue)} overdue" if overdue else "customers, none overdue",
    )


def section(rows: list[Row]) -> Section:
    """The list to work from."""
    by_team = Counter(row["team"] for row in rows).most_common()
    overdue = sum(1 for row in rows if row["is_overdue"])
    left_out = len(rows) - LONGEST
    return Section(
        "today",
        "Who needs a person today?",
        f"{', '.join(f'{plain(team)} {count(number)}' for team, number in by_team)};"
        f" {count(overdue) if overdue else 'none'} overdue. Overdue first, then by revenue."
        if rows
        else "Nobody waits for a person.",
        Table(
            [
                Column("customer", "Customer", "name"),
                Column("team", "Team"),
                Column("why", "Why today"),
                Column("due_at", "Pick up by", "instant"),
                Column("state", "State"),
                Column("mrr", "MRR, USD", "money"),
            ],
            rows[:LONGEST],
        ),
        ["hand_offs", "action_decisions", "state_alarms", "customer_lifecycle"],
        note="Hand-offs that nobody picked up, tickets and tasks that are permitted now, and paying customers who came"
        " into danger within the last week or are in a state for longer than it may last."
        + (f" Shown are the first {LONGEST}; {count(left_out)} more are in the marts." if left_out > 0 else ""),
        is_wide=True,
        is_list=True,
    )

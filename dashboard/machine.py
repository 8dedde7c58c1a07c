"""The state machine as it runs: every region's states, who answers for them, who stands there and who moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard import diagram
from dashboard.content import Column, Section, Table
from dashboard.wording import count, plain, several

if TYPE_CHECKING:
    from dashboard.published import Published, Row

STATES = """
    with stood as (
        select history.region, history.lifecycle_state, count(*) as customers
        from marts.lifecycle_state_history as history
        inner join marts.customer_lifecycle as customers on history.customer_id = customers.customer_id
        where history.is_current group by all
    )
    select distinct
        machine.region, machine.state_position, machine.lifecycle_state as state, machine.owner_team as owner,
        machine.time_limit_days, machine.state_meaning as meaning, machine.shown_when, machine.is_initial,
        machine.is_danger, coalesce(stood.customers, 0) as customers
    from marts.lifecycle_machine as machine
    left join stood on machine.region = stood.region and machine.lifecycle_state = stood.lifecycle_state
    order by machine.region, machine.state_position
"""
WAYS = """
    with moved as (
        select
            region, previous_lifecycle_state as from_state, lifecycle_state as to_state, count(*) as moves,
            count(distinct customer_id) as customers
        from marts.lifecycle_state_history
        where
            previous_lifecycle_state is not null
            and effective_at > (select max(as_of) from marts.publish_log where outcome = 'published') - interval 30 day
        group by all
    ),
    ways as (
        select region, lifecycle_state as from_state, next_lifecycle_state as to_state, moved_because as because
        from marts.lifecycle_machine where next_lifecycle_state is not null
    )
    select
        region, from_state, to_state, ways.because, coalesce(moved.moves, 0) as moves,
        coalesce(moved.customers, 0) as customers
    from ways full join moved using (region, from_state, to_state)
    order by moves desc, region, from_state, to_state
"""
SHOWN = "customer"
REGIONS = {
    SHOWN: "What is shown, owned and acted on",
    "engagement": "What the customer does",
    "revenue": "What the customer pays",
    "risk": "What suggests it will leave",
}
CARRIED = 0.8  # of the moves that a picture of the derived region shows


def section(published: Published) -> Section:
    """The machine as pictures, one a region, with a table that says the same in words."""
    states, ways = published.rows(STATES), published.rows(WAYS)
    regions = [region for region in REGIONS if any(row["region"] == region for row in states)]
    shown = [row for row in ways if row["region"] == SHOWN]
    return Section(
        "machine",
        "What leads from one state to the next?",
        f"Customers moved {count(sum(row['moves'] for row in shown))} times from one state to another in 30 days."
        if any(row["moves"] for row in shown)
        else "Nobody moved in 30 days.",
        Table(
            [
                Column("state", "State"),
                Column("region", "Region"),
                Column("owner", "Owner"),
                Column("customers", "Customers now", "count"),
                Column("came", "Entered, 30 days", "count"),
                Column("left", "Left, 30 days", "count"),
                Column("time_limit_days", "Limit, days", "count"),
                Column("meaning", "What it means"),
                Column("onwards", "Leads to"),
            ],
            [_in_words(row, ways) for row in sorted(states, key=lambda row: list(REGIONS).index(row["region"]))],
        ),
        ["lifecycle_machine", "lifecycle_state_history", "customer_lifecycle"],
        '<div class="machines">' + "".join(_region(region, states, ways) for region in regions) + "</div>",
        "A box is a state, with the team that answers for it and the customers who are in it now. An arrow is a move"
        " between two states, thicker the more often it was made in the last 30 days, dotted if nobody made it. Red is"
        " danger. The state that is shown follows from the other three regions; only its most common moves are drawn:"
        f" they make up {CARRIED:.0%} of all or more, and lead into and out of every state.",
        is_wide=True,
    )


def _region(region: str, states: list[Row], ways: list[Row]) -> str:
    mine = [row for row in states if row["region"] == region]
    places = {row["state"]: place for place, row in enumerate(mine)}
    picture = diagram.drawn(
        [
            diagram.State(
                plain(row["state"]),
                row["owner"],
                row["customers"],
                f"{plain(row['state'])}, {row['owner']} answers for it: {several(row['customers'], 'customer')}."
                f" {row['meaning']}" + (f" Shown when: {plain(row['shown_when'])}." if row["shown_when"] else ""),
                is_danger=row["is_danger"],
                is_initial=row["is_initial"],
            )
            for row in mine
        ],
        [
            diagram.Way(
                places[row["from_state"]],
                places[row["to_state"]],
                row["moves"],
                f"from {plain(row['from_state'])} to {plain(row['to_state'])}: {several(row['moves'], 'move')} of"
                f" {several(row['customers'], 'customer')} in 30 days"
                + (f", because: {row['because']}" if row["because"] else ""),
            )
            for row in _worth_drawing([row for row in ways if row["region"] == region])
            if row["from_state"] in places and row["to_state"] in places
        ],
        f"States and moves, {region}",
    )
    return f"<div><h3>{REGIONS[region]} <span>{region}</span></h3>{picture}</div>"


def _worth_drawing(ways: list[Row]) -> list[Row]:
    """All ways of the machine; of a derived region, which has none of its own, the commonest.

    These are the fewest that carry most of the moves, and the commonest into and out of every state.
    """
    own = [row for row in ways if row["because"] is not None]
    if own:
        return own
    total, carried = sum(row["moves"] for row in ways), 0
    entered, left = set(), set()
    found = []
    for row in ways:  # the commonest first
        is_first = row["from_state"] not in left or row["to_state"] not in entered
        if row["moves"] and (carried < CARRIED * total or is_first):
            found.append(row)
        carried += row["moves"]
        left.add(row["from_state"])
        entered.add(row["to_state"])
    return found


def _in_words(state: Row, ways: list[Row]) -> Row:
    mine = [row for row in ways if row["region"] == state["region"]]
    left = [row for row in mine if row["from_state"] == state["state"]]
    return {
        **state,
        "came": sum(row["moves"] for row in mine if row["to_state"] == state["state"]),
        "left": sum(row["moves"] for row in left),
        "onwards": "; ".join(
            f"{plain(row['to_state'])} {count(row['moves'])}" + (f" ({row['because']})" if row["because"] else "")
            for row in left
        )
        or None,
    }

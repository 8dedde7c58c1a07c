"""For the people who look after customers: where everybody stands, who needs a person today, and why we think so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard import charts, drawing, machine, today
from dashboard.content import Column, Page, Section, Table, Tile, Value, estimate
from dashboard.wording import count, money, named, plain, several, share

if TYPE_CHECKING:
    from dashboard.published import Published, Row

STATES = """
    select
        lifecycle_state as state, state_owner_team as owner, count(*) as customers, sum(mrr) as mrr,
        count(*) filter (where is_over_time_limit) as over_time_limit
    from marts.customer_lifecycle group by all order by customers desc, state
"""
FLOWS = """
    with places as (
        select distinct lifecycle_state as state, state_position as position
        from marts.lifecycle_machine where region = 'customer'
    )
    select
        history.previous_lifecycle_state as from_state, history.lifecycle_state as to_state, count(*) as moves,
        count(distinct history.customer_id) as customers, left_states.position as from_position,
        entered.position as to_position
    from marts.lifecycle_state_history as history
    inner join places as left_states on history.previous_lifecycle_state = left_states.state
    inner join places as entered on history.lifecycle_state = entered.state
    where
        history.region = 'customer'
        and history.effective_at
        > (select max(as_of) from marts.publish_log where outcome = 'published') - interval 30 day
    group by all order by moves desc, from_position, to_position
"""
AT_RISK = """
    select
        customer_id, coalesce(customer_name, customer_id) as customer, lifecycle_state as state, mrr,
        churn_risk, churn_risk_low, churn_risk_high, churn_risk_n,
        mrr_expected_to_leave, mrr_expected_to_leave_low, mrr_expected_to_leave_high, mrr_expected_to_leave_n,
        churn_risk_reasons as reasons, last_active_on, open_tickets, next_action
    from marts.customer_lifecycle where churn_risk is not null and mrr > 0
    order by mrr_expected_to_leave desc, customer_id limit 25
"""
READY = """
    select
        customer_id, coalesce(customer_name, customer_id) as customer, plan, seats, active_users_28d, mrr,
        upgrade_readiness, upgrade_readiness_low, upgrade_readiness_high, upgrade_readiness_n,
        upgrade_readiness_reasons as reasons, next_action
    from marts.customer_lifecycle where upgrade_readiness is not null and mrr > 0
    order by upgrade_readiness desc, mrr desc, customer_id limit 25
"""
LOAD = """
    select
        sum(open_tickets) as open_tickets, sum(tickets_90d) as tickets_90d,
        cast(sum(csat_90d * csat_n_90d) / nullif(sum(csat_n_90d), 0) as decimal(18, 6)) as csat
    from marts.customer_lifecycle
"""
DECIDED = """
    select
        coalesce(suppression_reason, 'permitted') as outcome, count(*) as decisions
    from marts.action_decisions where is_open or decision = 'permitted'
    group by all order by decisions desc, outcome
"""
HAND_OFFS = """
    select
        from_team, to_team, count(*) as hand_offs,
        count(*) filter (where outcome in ('picked_up', 'picked_up_late')) as picked_up,
        count(*) filter (where outcome in ('waiting', 'overdue')) as waiting,
        count(*) filter (where outcome in ('overdue', 'dropped', 'picked_up_late')) as not_in_time,
        cast(median(date_diff('minute', recorded_at, picked_up_at)) / 60.0 as decimal(18, 2)) as median_hours
    from marts.hand_offs
    where handed_at > (select max(as_of) from marts.publish_log where outcome = 'published') - interval 30 day
    group by all order by hand_offs desc, from_team, to_team
"""
AUTOMATION = "select * from marts.automation_share order by period"
ESCALATIONS = """
    select
        decisions.action, decisions.owner_team as owner, count(*) as permitted,
        count(*) filter (where deliveries.outcome = 'acknowledged') as delivered,
        max(decisions.decided_at) as latest_at
    from marts.action_decisions as decisions
    left join marts.action_deliveries as deliveries using (action_id)
    where decisions.destination in ('zendesk', 'bitrix24') and decisions.decision = 'permitted'
    group by all order by permitted desc, decisions.action
"""


def page(published: Published) -> Page:
    """The success page."""
    states = published.rows(STATES)
    at_risk = published.rows(AT_RISK)
    ready = published.rows(READY)
    load = published.row(LOAD)
    automation = published.rows(AUTOMATION)
    everything = [row for row in automation if row["period"] == "all"]
    waiting = today.waiting(published)
    return Page(
        "success",
        "Customer success",
        "Where does every customer stand, who needs a person today, and what is the evidence?",
        [
            today.tile(waiting),
            Tile(
                "Customers at risk",
                Value(_of(states, "at_risk", "customers"), "count"),
                "",
                f"{money(_of(states, 'at_risk', 'mrr'))} USD of MRR",
            ),
            Tile(
                "In payment trouble",
                Value(_of(states, "payment_trouble", "customers"), "count"),
                "",
                f"{money(_of(states, 'payment_trouble', 'mrr'))} USD of MRR",
            ),
            Tile(
                "Too long in their state",
                Value(sum(row["over_time_limit"] for row in states if row["mrr"]), "count"),
                "",
                "customers in states that bring revenue",
            ),
            Tile(
                "Open tickets",
                Value(load["open_tickets"], "count"),
                "",
                f"{count(load['tickets_90d'])} tickets in 90 days",
            ),
            Tile("Handled without a person", estimate(everything[0], "automation_share", "share"), "", "of cases")
            if everything
            else Tile("Handled without a person", Value(None, "share"), "", "nothing was delivered yet"),
            Tile("Satisfied ratings", Value(load["csat"], "share"), "", "of rated tickets, 90 days"),
        ],
        [
            today.section(waiting),
            _at_risk(at_risk),
            _ready(ready),
            _states(states),
            _decided(published),
            machine.section(published),
            _flows(published),
            _hand_offs(published),
            _escalations(published),
        ],
    )


def _of(states: list[Row], state: str, name: str) -> Any:
    return sum(row[name] for row in states if row["state"] == state)


def _states(states: list[Row]) -> Section:
    rows = [
        {
            "label": plain(row["state"]),
            "value": row["customers"],
            "shown": count(row["customers"]),
            "colour": "var(--accent)" if row["mrr"] else "var(--neutral)",
            "said": f"{plain(row['state'])}, looked after by {row['owner']}: {several(row['customers'], 'customer')},"
            f" {money(row['mrr'])} USD of MRR",
        }
        for row in states
    ]
    paying = [row for row in states if row["mrr"]]
    most = max(paying, key=lambda row: (row["mrr"], row["state"]), default=None)
    return Section(
        "states",
        "Where does everybody stand?",
        f"Most MRR is in “{plain(most['state'])}”: {money(most['mrr'])} USD." if most else "Nobody pays yet.",
        Table(
            [
                Column("state", "State"),
                Column("owner", "Owner"),
                Column("customers", "Customers", "count"),
                Column("mrr", "MRR, USD", "money"),
                Column("over_time_limit", "Too long there", "count"),
            ],
            states,
        ),
        ["customer_lifecycle"],
        charts.bars(rows, unit="customers"),
        "Grey states bring no recurring revenue.",
    )


def _flows(published: Published) -> Section:
    flows = published.rows(FLOWS)
    most = max((row["moves"] for row in flows), default=0)
    cells = [
        {
            "x": plain(row["to_state"]),
            "x_rank": row["to_position"],
            "y": plain(row["from_state"]),
            "share": row["moves"] / most,
            "shown": str(row["moves"]),
            "said": f"from {plain(row['from_state'])} to {plain(row['to_state'])}: {several(row['moves'], 'move')}"
            f" of {several(row['customers'], 'customer')}",
        }
        for row in sorted(flows, key=lambda row: row["from_position"])
    ]
    first = flows[0] if flows else None
    return Section(
        "flows",
        "Who moved in the last 30 days?",
        f"Most often from {plain(first['from_state'])} to {plain(first['to_state'])},"
        f" {several(first['moves'], 'time')}."
        if first
        else "Nobody moved.",
        Table(
            [
                Column("from_state", "From"),
                Column("to_state", "To"),
                Column("moves", "Moves", "count"),
                Column("customers", "Customers", "count"),
            ],
            flows,
        ),
        ["lifecycle_state_history", "lifecycle_machine"],
        charts.heat_map(cells, None, width=drawing.FULL, step=28) if cells else None,
        "Rows are the states that were left, columns those that were entered; the stronger the colour, the more moves.",
        is_wide=True,
    )


def _at_risk(rows: list[Row]) -> Section:
    total = (
        sum((row["mrr_expected_to_leave"] for row in rows), start=rows[0]["mrr_expected_to_leave"] * 0) if rows else 0
    )
    return Section(
        "at-risk",
        "Who is about to leave?",
        f"The {several(len(rows), 'customer')} with the most revenue at stake; {money(total)} USD of their MRR is"
        " expected to leave within a month."
        if rows
        else "Nobody has a score yet: customers with a short history get none.",
        Table(
            [
                Column("customer", "Customer", "name"),
                Column("state", "State"),
                Column("mrr", "MRR, USD", "money"),
                Column("churn_risk", "Risk of leaving", "share", is_estimate=True),
                Column("mrr_expected_to_leave", "Expected loss, USD", "money", is_estimate=True),
                Column("reasons", "Evidence"),
                Column("last_active_on", "Last active", "date"),
                Column("open_tickets", "Open tickets", "count"),
                Column("next_action", "What happens next"),
            ],
            rows,
        ),
        ["customer_lifecycle", "customer_scores"],
        is_wide=True,
        is_list=True,
    )


def _ready(rows: list[Row]) -> Section:
    return Section(
        "ready",
        "Who is ready to upgrade?",
        f"The {len(rows)} most likely, led by {named(rows[0]['customer'])} at {share(rows[0]['upgrade_readiness'])}."
        if rows
        else "Nobody has a score yet: customers with a short history get none.",
        Table(
            [
                Column("customer", "Customer", "name"),
                Column("plan", "Plan"),
                Column("seats", "Seats", "count"),
                Column("active_users_28d", "Active people", "count"),
                Column("mrr", "MRR, USD", "money"),
                Column("upgrade_readiness", "Readiness", "share", is_estimate=True),
                Column("reasons", "Evidence"),
                Column("next_action", "What happens next"),
            ],
            rows,
        ),
        ["customer_lifecycle", "customer_scores"],
        is_wide=True,
        is_list=True,
    )


def _decided(published: Published) -> Section:
    rows = published.rows(DECIDED)
    drawn = [
        {
            "label": plain(row["outcome"]),
            "value": row["decisions"],
            "shown": count(row["decisions"]),
            "colour": "var(--accent)" if row["outcome"] == "permitted" else "var(--neutral)",
            "said": f"{plain(row['outcome'])}: {several(row['decisions'], 'decision')}",
        }
        for row in rows
    ]
    return Section(
        "decided",
        "What may go out now, and what is held back?",
        _told(rows),
        Table([Column("outcome", "Outcome"), Column("decisions", "Decisions", "count")], rows),
        ["action_decisions"],
        charts.bars(drawn, unit="decisions") if drawn else None,
        "Only what can still be acted on, each counted under the first reason that holds it back.",
    )


def _told(decided: list[Row]) -> str:
    permitted = sum(row["decisions"] for row in decided if row["outcome"] == "permitted")
    held = [row for row in decided if row["outcome"] != "permitted"]
    if not decided:
        return "Nothing has happened that asks for an action."
    if not held:
        return f"{several(permitted, 'action')} may go out, nothing is held back."
    return (
        f"{several(permitted, 'action')} may go out, {count(sum(row['decisions'] for row in held))} are held back, most"
        f" often as “{plain(held[0]['outcome'])}”."
    )


def _hand_offs(published: Published) -> Section:
    rows = published.rows(HAND_OFFS)
    late = sum(row["not_in_time"] for row in rows)
    return Section(
        "hand-offs",
        "Are customers picked up when they change hands?",
        f"{several(sum(row['hand_offs'] for row in rows), 'hand-off')} in 30 days,"
        f" {count(late) if late else 'none'} of them picked up too late or not at all."
        if rows
        else "Nobody changed hands in 30 days.",
        Table(
            [
                Column("from_team", "From"),
                Column("to_team", "To"),
                Column("hand_offs", "Hand-offs", "count"),
                Column("picked_up", "Picked up", "count"),
                Column("waiting", "Waiting", "count"),
                Column("not_in_time", "Not in time", "count"),
                Column("median_hours", "Median hours", "ratio"),
            ],
            rows,
        ),
        ["hand_offs"],
        is_list=True,
    )


def _escalations(published: Published) -> Section:
    rows = published.rows(ESCALATIONS)
    return Section(
        "escalations",
        "What was handed to people?",
        f"{count(sum(row['permitted'] for row in rows))} tickets and CRM changes are permitted or on their way."
        if rows
        else "Nothing was handed to people.",
        Table(
            [
                Column("action", "Action"),
                Column("owner", "Owner"),
                Column("permitted", "Permitted", "count"),
                Column("delivered", "Delivered", "count"),
                Column("latest_at", "Latest decision", "instant"),
            ],
            rows,
        ),
        ["action_decisions", "action_deliveries"],
        is_list=True,
    )

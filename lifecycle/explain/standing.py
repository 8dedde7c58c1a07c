"""Where a customer stands: its state and the proof, who answers for it, and what each team may and may not do now.

Facts come from the published marts; what a state permits comes from the playbook's files, so that an edit can be looked
at before anything is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lifecycle.playbook import sheets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from lifecycle.playbook.sheets import Playbook, Row

RECENT = 8
MARTS = {
    "customer_lifecycle", "lifecycle_state_history", "lifecycle_state_versions", "state_alarms", "signals",
    "action_decisions", "action_deliveries", "hand_offs", "open_worklist",
}  # fmt: skip
QUERIES = {
    "row": """
        select
            lifecycle_state, state_entered_at, state_owner_team, previous_lifecycle_state, state_signal,
            state_proof_event_ids, mrr, ltv_realised, channel_ltv, channel_ltv_low, channel_ltv_high, channel_ltv_n,
            churn_risk, churn_risk_low, churn_risk_high, churn_risk_n, churn_risk_reasons, not_scored_because
        from marts.customer_lifecycle where customer_id = $customer
    """,
    "regions": """
        select region, lifecycle_state, valid_from, recorded_at, entered_because, proof_occurrence_id
        from marts.lifecycle_state_history where customer_id = $customer and is_current order by region
    """,
    "signals": f"""
        select signal_id, occurred_at, detected_at, proof_count, proving_event_ids, is_historical
        from marts.signals where customer_id = $customer and outcome = 'fired'
        order by occurred_at desc, occurrence_id limit {RECENT}
    """,
    "decisions": f"""
        select
            action, owner_team, decision, suppression_reason, held_back_by, release_at, arm, is_in_holdout, decided_at,
            is_exempt_from_caps, journey, journey_version, sent_at, lifecycle_state
        from marts.action_decisions where customer_id = $customer
        order by decided_at desc, occurred_at desc, action_id limit {RECENT}
    """,
    "deliveries": f"""
        select action, destination, outcome, acknowledged_at, first_planned_at
        from marts.action_deliveries where customer_id = $customer
        order by first_planned_at desc, action_id limit {RECENT}
    """,
    "hand_offs": f"""
        select from_team, to_team, handed_at, handed_because, pick_up_by, outcome
        from marts.hand_offs where customer_id = $customer order by handed_at desc, hand_off_id limit {RECENT}
    """,
    "alarms": """
        select alarm, region, lifecycle_state, wrong_since, measure, measured_value, meaning
        from marts.state_alarms where customer_id = $customer order by alarm_id
    """,
    "waits": """
        select owner_team, because, waiting_since, pick_up_by, is_overdue
        from marts.open_worklist where customer_id = $customer order by worklist_position
    """,
    "corrections": f"""
        select region, lifecycle_state, valid_from, known_from, known_until, correction
        from marts.lifecycle_state_versions where customer_id = $customer and correction != 'news'
        order by coalesce(known_until, known_from) desc, version_id limit {RECENT}
    """,
    "held": """
        select action, max_by(held_back_by, decided_at) as held_back_by
        from marts.action_decisions
        where customer_id = $customer and is_open and decision = 'suppressed' group by action
    """,
}


@dataclass(slots=True)
class Leave:
    """What one team may and may not do now."""

    team: str
    role: str
    may: list[str] = field(default_factory=list)
    may_not: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Standing:
    """Everything that says where a customer stands; None where nothing is known of it."""

    row: dict[str, Any] | None
    regions: list[dict[str, Any]]
    signals: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]
    hand_offs: list[dict[str, Any]]
    alarms: list[dict[str, Any]]
    waits: list[dict[str, Any]]
    corrections: list[dict[str, Any]]
    leave: list[Leave]


def gather(connection: duckdb.DuckDBPyConnection, customer: str, playbook: Playbook | None = None) -> Standing | None:
    """Read it from the file that the connection has open; None for a file that has not all of these marts."""
    tables = connection.execute(
        "select table_name from information_schema.tables where table_schema = 'marts'"
    ).fetchall()
    if not {name for (name,) in tables} >= MARTS:
        return None
    found: dict[str, list[dict[str, Any]]] = {}
    for name, query in QUERIES.items():
        rows = connection.execute(query, {"customer": customer})
        columns = [column[0] for column in rows.description or []]
        found[name] = [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]
    held = {row["action"]: row["held_back_by"] for row in found.pop("held")}
    row = next(iter(found.pop("row")), None)
    state = row["lifecycle_state"] if row else None
    return Standing(row=row, leave=leaves(playbook or sheets.read(), state, held) if state else [], **found)


def leaves(playbook: Playbook, state: str, held: dict[str, str]) -> list[Leave]:
    """For each team: what the state permits it, and why not the rest of what it owns."""
    row = playbook.by("lifecycle_states", "state").get(state)
    permits = {
        (permit["team"], permit["action"]) for permit in playbook.rows("state_permits") if permit["state"] == state
    }
    answer = []
    for team in playbook.rows("teams"):
        leave = Leave(team["team"], _role(row, team["team"]))
        for action in sorted(playbook.rows("actions"), key=lambda each: each.whole("priority")):
            if action["owner_team"] != team["team"]:
                continue
            reason = _why_not(playbook, action, (team["team"], action["action"]) in permits, held)
            if reason is None:
                leave.may.append(action["action"])
            else:
                leave.may_not[action["action"]] = reason
        answer.append(leave)
    return answer


def _role(state: Row | None, team: str) -> str:
    if state is None:
        return "no part"
    if state["owner_team"] == team:
        return "owner"
    return "assists" if team in state.words("assisting_teams") else "no part"


def _why_not(playbook: Playbook, action: Row, is_permitted: bool, held: dict[str, str]) -> str | None:
    name = action["action"]
    if not is_permitted:
        elsewhere = sorted({permit["state"] for permit in playbook.rows("state_permits") if permit["action"] == name})
        return f"not permitted in this state, only in {', '.join(elsewhere)}" if elsewhere else "permitted nowhere"
    if action["mode"] in {"paused", "shadow"}:
        return "switched off" if action["mode"] == "paused" else "only watched (shadow)"
    if name in held:
        meanings = playbook.by("suppression_reasons", "reason")
        first = held[name].split(", ")[0]
        return f"{first}: {meanings[first]['meaning']}" if first in meanings else first
    return None


def lines(standing: Standing) -> Iterator[str]:
    """The same for a person, line by line."""
    row = standing.row
    if row is None:
        yield "No row in customer_lifecycle: nothing is known of where it stands."
        return
    since = f"{row['state_entered_at']:%Y-%m-%d %H:%M} UTC" if row["state_entered_at"] else "first sight"
    yield f"State: {row['lifecycle_state']} since {since}; {row['state_owner_team']} answers for it."
    shown = next((each for each in standing.regions if each["region"] == "customer"), None)
    if shown and shown["entered_because"]:
        known = f"{shown['recorded_at']:%Y-%m-%d %H:%M} UTC"
        yield f"  because it {_because(shown['entered_because'])} ({row['state_signal']}), known since {known}"
        yield f"  proof: {row['state_proof_event_ids']} (occurrence {shown['proof_occurrence_id']})"
    for each in standing.regions:
        if each["region"] != "customer":
            yield f"  {each['region']}: {each['lifecycle_state']} since {each['valid_from']:%Y-%m-%d}"
    for each in standing.alarms:
        since = f"{each['wrong_since']:%Y-%m-%d}"
        value = "" if each["measure"] is None else f" ({each['measure']} is {each['measured_value']})"
        yield f"  wrong since {since}: {each['lifecycle_state']}. {each['meaning']}{value}"
    for each in standing.waits:
        due = f"{'was' if each['is_overdue'] else 'is'} to be picked up by {each['pick_up_by']:%Y-%m-%d %H:%M} UTC"
        until = f" ({due})" if each["pick_up_by"] else ""
        yield f"  waits for {each['owner_team']} since {each['waiting_since']:%Y-%m-%d}: {each['because']}{until}"
    yield from _worth(row)
    for leave in standing.leave:
        yield f"{leave.team} ({leave.role}) may: {', '.join(leave.may) or 'nothing'}"
        for action, why in leave.may_not.items():
            yield f"  not {action}: {why}"
    yield from _lists(standing)
    yield from _corrections(standing)


def _because(reason: str) -> str:
    return reason if reason.split(maxsplit=1)[0] in {"is", "has", "said"} else f"({reason})"


def _worth(row: dict[str, Any]) -> Iterator[str]:
    yield f"Value: USD {row['mrr'] or 0} a month; margin so far USD {row['ltv_realised'] or 0}."
    if row["channel_ltv"] is not None:
        interval = f"{row['channel_ltv_low']} to {row['channel_ltv_high']}, n = {row['channel_ltv_n']}"
        yield f"  customers of its channel are worth USD {row['channel_ltv']} ({interval})"
    if row["churn_risk"] is None:
        yield f"Risk: not scored ({row['not_scored_because'] or 'no reason given'})."
    else:
        interval = f"{row['churn_risk_low']:.3f} to {row['churn_risk_high']:.3f}, n = {row['churn_risk_n']}"
        yield f"Risk of leaving next month: {row['churn_risk']:.3f} ({interval}); {row['churn_risk_reasons']}"


def _lists(standing: Standing) -> Iterator[str]:
    if standing.signals:
        yield "What it did, newest first:"
    for each in standing.signals:
        yield f"  {each['occurred_at']:%Y-%m-%d %H:%M} {each['signal_id']} ({each['proof_count']} events)"
    if standing.decisions:
        yield "What was decided:"
    for each in standing.decisions:
        verdict = each["decision"] if each["decision"] == "permitted" else each["held_back_by"]
        until = f", released {each['release_at']:%H:%M} UTC" if each["release_at"] else ""
        exempt = ", exempt from caps" if each["is_exempt_from_caps"] else ""
        turn = f", journey {each['journey']} version {each['journey_version']}" if each["journey"] else ""
        said = f"{verdict}{until} (in {each['lifecycle_state']}, arm {each['arm']}{exempt}{turn})"
        yield f"  {each['decided_at']:%Y-%m-%d %H:%M} {each['action']}: {said}"
    if standing.deliveries:
        yield "What was sent:"
    for each in standing.deliveries:
        at = each["acknowledged_at"] or each["first_planned_at"]
        yield f"  {at:%Y-%m-%d %H:%M} {each['action']} to {each['destination']}: {each['outcome']}"
    if standing.hand_offs:
        yield "Who handed it to whom:"
    for each in standing.hand_offs:
        move = f"{each['from_team']} to {each['to_team']}"
        yield f"  {each['handed_at']:%Y-%m-%d} {move}, because: {each['handed_because']} ({each['outcome']})"


def _corrections(standing: Standing) -> Iterator[str]:
    if standing.corrections:
        yield "What we had to correct about it:"
    for each in standing.corrections:
        entry = f"{each['lifecycle_state']} since {each['valid_from']:%Y-%m-%d %H:%M}"
        if each["correction"] == "withdrawn":
            yield f"  {entry} was said from {each['known_from']:%Y-%m-%d} to {each['known_until']:%Y-%m-%d}"
        else:
            yield f"  {entry} was only known on {each['known_from']:%Y-%m-%d}"

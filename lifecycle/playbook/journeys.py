"""What only the sheets together can say about journeys and limits: can a turn be taken, does anything come of it?"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lifecycle.playbook.machine import derived_region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.playbook.sheets import Finding, Playbook, Row

# kinds of signals that say what became of an action; only these can be waited for
OUTCOMES = {"ignored", "ignored_in_silence", "reached_goal", "moved_on"}
# kinds that look at states or deliveries, so that they are known when the states are and can move none
OURS = OUTCOMES | {"overstayed", "handed_over", "not_picked_up", "state_entered", "state_left"}


def findings(playbook: Playbook) -> Iterator[Finding]:
    """Every turn that cannot be taken or never ends, and every time limit that nothing follows from."""
    yield from _movers(playbook)
    yield from _turns(playbook)
    yield from _versions(playbook)
    yield from _circles(playbook)
    yield from _limits(playbook, "time_limit_days", "overstayed")
    yield from _limits(playbook, "pick_up_hours", "not_picked_up")


def _movers(playbook: Playbook) -> Iterator[Finding]:
    signals = playbook.by("signal_definitions", "signal_id")
    for row in playbook.rows("lifecycle_transitions"):
        signal = signals.get(row["signal_id"])
        if signal is not None and signal["kind"] in OURS:
            problem = f"'{row['signal_id']}' ({signal['kind']}) is only known when the states are, so it moves nobody."
            yield row.finding("signal_id", problem, "Let what it looks at move the customer instead.")


def _turns(playbook: Playbook) -> Iterator[Finding]:
    signals = playbook.by("signal_definitions", "signal_id")
    actions = playbook.by("actions", "action")
    homes: dict[str, Row] = {}
    for row in playbook.rows("journeys"):
        signal, before, after = (
            signals.get(row["signal_id"]), actions.get(row["after_action"]), actions.get(row["next_action"]),
        )  # fmt: skip
        if signal is not None and signal["kind"] not in OUTCOMES:
            problem = f"'{row['signal_id']}' ({signal['kind']}) is no outcome of an action."
            yield row.finding("signal_id", problem, f"Name a signal of kind {', '.join(sorted(OUTCOMES))}.")
        elif signal is not None and before is not None:
            if signal["kind"] == "reached_goal" and not before["goal_signal_id"]:
                problem = f"'{before['action']}' has no goal that could be reached."
                yield row.finding("signal_id", problem, "Give it a goal_signal_id in actions, or remove the row.")
            if signal["kind"].startswith("ignored") and before["cap_class"] != "message":
                problem = f"'{before['action']}' is no message, so nobody can ignore it."
                yield row.finding("signal_id", problem, "Wait for another outcome.")
        if after is not None and after["signal_id"] != row["signal_id"]:
            problem = f"'{after['action']}' listens to '{after['signal_id']}', so this turn never leads to it."
            yield row.finding("next_action", problem, f"Let it listen to '{row['signal_id']}' in actions.")
        if row["next_action"]:
            home = homes.setdefault(row["next_action"], row)
            if home["journey"] != row["journey"]:
                problem = f"'{row['next_action']}' is a turn of journey '{home['journey']}' (row {home.number})."
                yield row.finding("next_action", problem, "An action belongs to one journey; add one of its own.")


def _versions(playbook: Playbook) -> Iterator[Finding]:
    by_version: dict[tuple[str, str], Row] = {}
    by_start: dict[tuple[str, str], Row] = {}
    for row in playbook.rows("journeys"):
        first = by_version.setdefault((row["journey"], row["version"]), row)
        if first["in_force_from"] != row["in_force_from"]:
            problem = f"Row {first.number} of the same version begins {first['in_force_from']}."
            yield row.finding("in_force_from", problem, "A version begins once; make them equal.")
            continue
        other = by_start.setdefault((row["journey"], row["in_force_from"]), row)
        if other["version"] != row["version"]:
            problem = f"Version {other['version']} (row {other.number}) begins at the same instant."
            yield row.finding("in_force_from", problem, "Let the newer one begin later.")


def _circles(playbook: Playbook) -> Iterator[Finding]:
    """A path that comes back to an action would go on for as long as the customer keeps ignoring it."""
    turns: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in playbook.rows("journeys"):
        turns[row["journey"], row["version"]].append(row)
    for rows in turns.values():
        following: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row["next_action"]:
                following[row["after_action"]].add(row["next_action"])
        for row in rows:
            if row["next_action"] and row["after_action"] in _reachable(following, row["next_action"]):
                problem = f"'{row['next_action']}' leads back to '{row['after_action']}'."
                yield row.finding("next_action", problem, "Let the path end, or go on with another action.")


def _reachable(following: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        action = waiting.pop()
        if action not in seen:
            seen.add(action)
            waiting += following.get(action, ())
    return seen


def _limits(playbook: Playbook, field: str, kind: str) -> Iterator[Finding]:
    """A limit that nothing follows from is only a number."""
    listening = {row["signal_id"]: row for row in playbook.rows("signal_definitions") if row["kind"] == kind}
    answers = {row["action"] for row in playbook.rows("actions") if row["signal_id"] in listening}
    covered = {row["state"] for row in playbook.rows("state_permits") if row["action"] in answers}
    for row in playbook.rows("lifecycle_states"):
        if row[field] and row["region"] == derived_region(playbook) and row["state"] not in covered:
            problem = f"'{row['state']}' has a limit, and nothing is permitted there when it is exceeded."
            fix = f"Permit an action on a signal of kind {kind} in this state, or take the limit away."
            yield row.finding(field, problem, fix)

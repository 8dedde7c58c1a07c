"""Whether the actions of the playbook can happen: permits, caps, holdouts and what is sent where."""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from lifecycle.playbook.declared import closest
from lifecycle.playbook.machine import derived_region
from lifecycle.playbook.sheets import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.playbook.sheets import Playbook, Row

SHARDS = 10_000
DAY = 86_400


def findings(playbook: Playbook) -> Iterator[Finding]:
    """Every action that cannot happen, or could not be explained if it did."""
    yield from _permits(playbook)
    yield from _permitted_states(playbook)
    yield from _actions(playbook)
    yield from _caps(playbook)
    yield from _layers(playbook)
    yield from _zones(playbook)
    yield from _templates(playbook)


def _permits(playbook: Playbook) -> Iterator[Finding]:
    actions = playbook.by("actions", "action")
    seen: dict[tuple[str, str], Row] = {}
    teams: defaultdict[str, set[str]] = defaultdict(set)
    for row in playbook.rows("state_permits"):
        first = seen.setdefault((row["state"], row["action"]), row)
        if first["team"] != row["team"]:
            problem = f"It contradicts row {first.number}, which gives the action to {first['team']} in this state."
            yield row.finding("team", problem, "An action has one owner: keep the row of its team.")
        action = actions.get(row["action"])
        teams[row["action"]].add(row["team"])
        if action is not None and action["owner_team"] != row["team"]:
            problem = f"It permits '{row['action']}' to {row['team']}, and {action['owner_team']} owns it."
            yield row.finding("team", problem, "Permit it to its owner, or change the owner in actions.")
    for action in actions.values():
        permitted = teams[action["action"]]
        if not permitted:
            problem = f"'{action['action']}' is permitted nowhere, so it can never happen."
            yield action.finding("action", problem, "Add a row to state_permits for the team that owns it.")
        elif action["owner_team"] not in permitted:
            named = ", ".join(sorted(permitted))
            problem = f"'{action['action']}' is owned by {action['owner_team']} and only permitted to {named}."
            yield action.finding("owner_team", problem, "Name that team, or permit it to its owner.")


def _permitted_states(playbook: Playbook) -> Iterator[Finding]:
    states = playbook.by("lifecycle_states", "state")
    shown = derived_region(playbook)
    for row in playbook.rows("state_permits"):
        state = states.get(row["state"])
        if state is None:
            continue
        if row["team"] not in [state["owner_team"], *state.words("assisting_teams")]:
            problem = f"{row['team']} neither owns '{row['state']}' nor assists in it."
            fix = "Add the team to assisting_teams of the state, or remove the permit."
            yield row.finding("team", problem, fix)
        if shown is not None and state["region"] != shown:
            problem = f"'{row['state']}' is a state of region '{state['region']}'; permits are for what is shown."
            yield row.finding("state", problem, f"Name a state of region '{shown}'.")


def _actions(playbook: Playbook) -> Iterator[Finding]:
    for row in playbook.rows("actions"):
        if row["goal_signal_id"] and row["goal_signal_id"] == row["signal_id"]:
            problem = "The signal that sets it off is also its goal, so it is met before it begins."
            yield row.finding("goal_signal_id", problem, "Name what the action wants to achieve, or leave it empty.")
        if row.whole("cooldown_hours") and row.whole("cooldown_hours") > 5 * 8760:
            yield row.finding("cooldown_hours", "More than five years.", "Write hours; 8760 are a year.")
        if row["enabled_at"] and row["enabled_at"][:4] < "2000":
            yield row.finding("enabled_at", f"{row['enabled_at']} is no instant in use.", "Write when it was added.")


def _caps(playbook: Playbook) -> Iterator[Finding]:
    """A wider window with no more room makes every narrower one pointless."""
    by_class: defaultdict[str, list[Row]] = defaultdict(list)
    for row in playbook.rows("frequency_caps"):
        by_class[row["cap_class"]].append(row)
    for rows in by_class.values():
        for narrow in rows:
            for wide in rows:
                if _seconds(wide) > _seconds(narrow) > 0 and 0 < wide.whole("max_actions") <= narrow.whole(
                    "max_actions"
                ):
                    problem = f"It never holds anything back: row {wide.number} allows no more in a longer time."
                    yield narrow.finding("max_actions", problem, "Lower it, or remove one of the two rows.")


def _seconds(cap: Row) -> int:
    return DAY if cap["per"] == "calendar_day" else cap.whole("within_seconds")


def _layers(playbook: Playbook) -> Iterator[Finding]:
    """Shards of one layer belong to one experiment, and all of them are drawn with one salt that is the layer's own."""
    actions = playbook.by("actions", "action")
    rows = playbook.rows("holdouts")
    for index, row in enumerate(rows):
        for other in rows[:index]:
            if row["layer"] == other["layer"] and _overlap(row, other):
                problem = f"Its shards overlap with row {other.number} in layer '{row['layer']}'."
                yield row.finding("first_shard", problem, "Give each row of a layer shards of its own.")
            if (row["layer"] == other["layer"]) != (row["salt"] == other["salt"]):
                problem = f"Row {other.number} has layer '{other['layer']}' with salt '{other['salt']}'."
                yield row.finding("salt", problem, "A layer has one salt, and no other layer has the same.")
            if row["action"] and row["action"] == other["action"]:
                problem = f"'{row['action']}' has customers of row {other.number} already."
                yield row.finding("action", problem, "An experiment is in one layer, with one range.")
        if not row["action"] and row.whole("last_shard") - row.whole("first_shard") + 1 > SHARDS // 2:
            problem = "More than half of all customers would be left alone."
            yield row.finding("last_shard", problem, "Narrow the range.")
        action = actions.get(row["action"])
        if action is not None and action["mode"] != "experiment":
            problem = f"'{row['action']}' is no experiment (mode {action['mode']}) and keeps customers from others."
            yield row.finding("action", problem, "Remove the row, or set the mode to experiment.")
    if not any(row["layer"] == "global" for row in rows):
        file = playbook.sheets["holdouts"].file
        fix = "Add a row with layer global and no action; without it no effect can be told from chance."
        yield Finding(file, 0, "layer", "There is no global holdout.", fix)


def _overlap(row: Row, other: Row) -> bool:
    starts_before = row.whole("first_shard") <= other.whole("last_shard")
    return starts_before and other.whole("first_shard") <= row.whole("last_shard")


@functools.cache
def _known_zones() -> frozenset[str]:
    """Every time zone that this machine knows; to find them, it walks through hundreds of files."""
    return frozenset(available_timezones())


def _zones(playbook: Playbook) -> Iterator[Finding]:
    rows = playbook.rows("time_zones")
    known = _known_zones() if rows else frozenset()
    for row in rows:
        if row["time_zone"] and row["time_zone"] not in known:
            problem = f"'{row['time_zone']}' is no time zone."
            yield row.finding("time_zone", problem, closest(row["time_zone"], known))
    if not any(row["customer_id"] == "*" for row in rows):
        file = playbook.sheets["time_zones"].file
        yield Finding(file, 0, "customer_id", "There is no row for everybody else.", "Add one with customer_id *.")


def _templates(playbook: Playbook) -> Iterator[Finding]:
    used = {row["template"] for row in playbook.rows("actions") if row["object"] == "deal_stages"}
    for row in playbook.rows("deal_stages"):
        if row["template"] not in used:
            problem = f"No action uses '{row['template']}'."
            yield row.finding("template", problem, "Name it as template of an action, or remove the row.")

"""What only the sheets together can say: whether the machine can be walked, and whether anybody may act in it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from lifecycle.playbook.declared import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.playbook.sheets import Finding, Playbook, Row

RESUME = "resume"
# kinds that can fire at the very event they listen to, so that two of them on one behaviour share an instant
AT_ONCE = {"first", "every", "count_within", "restarted"}


def findings(playbook: Playbook) -> Iterator[Finding]:
    """Every fault of the state machine."""
    yield from _teams(playbook)
    yield from _initial_states(playbook)
    yield from _walks(playbook)
    yield from _moves(playbook)
    yield from _ties(playbook)
    yield from _instant_cycles(playbook)
    yield from _display(playbook)


def moving_regions(playbook: Playbook) -> dict[str, list[Row]]:
    """The states of each region that moves by itself; the derived region follows from the display rules."""
    shown = derived_region(playbook)
    regions: defaultdict[str, list[Row]] = defaultdict(list)
    for row in playbook.rows("lifecycle_states"):
        if row["region"] and row["region"] != shown:
            regions[row["region"]].append(row)
    return dict(regions)


def derived_region(playbook: Playbook) -> str | None:
    """The region that display rules lead to."""
    states = playbook.by("lifecycle_states", "state")
    named = [states[row["state"]]["region"] for row in playbook.rows("lifecycle_display") if row["state"] in states]
    return max(set(named), key=named.count) if named else None


def edges(playbook: Playbook) -> list[tuple[str, str, Row]]:
    """From where to where, by which row; `resume` leads to wherever an interruption can come from."""
    rows = playbook.rows("lifecycle_transitions")
    states = playbook.by("lifecycle_states", "state")
    interruptions = {name for name, state in states.items() if state.is_true("is_interruption")}
    entries = {
        row["from_state"] for row in rows if row["to_state"] in interruptions and row["from_state"] not in interruptions
    }
    found = []
    for row in rows:
        if row["to_state"] == RESUME:
            region = states[row["from_state"]]["region"] if row["from_state"] in states else ""
            found += [
                (row["from_state"], entry, row)
                for entry in sorted(entries)
                if entry in states and states[entry]["region"] == region
            ]
        else:
            found.append((row["from_state"], row["to_state"], row))
    return found


def _teams(playbook: Playbook) -> Iterator[Finding]:
    teams = {row["team"] for row in playbook.rows("teams")}
    for row in playbook.rows("lifecycle_states"):
        words = row.words("assisting_teams")
        for word in words:
            if word not in teams:
                yield row.finding("assisting_teams", f"'{word}' is no team.", closest(word, teams))
        for word in {word for word in words if words.count(word) > 1}:
            yield row.finding("assisting_teams", f"'{word}' is named twice.", "Name it once.")
        if row["owner_team"] in words:
            yield row.finding(
                "assisting_teams",
                f"'{row['owner_team']}' owns the state and assists in it.",
                "Take it out of the list.",
            )


def _initial_states(playbook: Playbook) -> Iterator[Finding]:
    for region, states in moving_regions(playbook).items():
        initial = [row for row in states if row.is_true("is_initial")]
        if not initial:
            fix = "Set it to true for the state in which everybody starts."
            yield states[0].finding("is_initial", f"No state of region '{region}' is initial.", fix)
        for row in initial[1:]:
            problem = f"'{initial[0]['state']}' is initial in region '{region}' already."
            yield row.finding("is_initial", problem, "Leave one of them true.")
        for row in initial:
            if row.is_true("is_interruption"):
                problem = "The initial state is an interruption, and there is nothing to interrupt."
                yield row.finding("is_interruption", problem, "Set it to false.")


def _walks(playbook: Playbook) -> Iterator[Finding]:
    """Every state can be reached from the initial one, and left unless it is final."""
    steps: defaultdict[str, set[str]] = defaultdict(set)
    ways_out: defaultdict[str, set[str]] = defaultdict(set)
    for start, end, row in edges(playbook):
        ways_out[start].add(end)
        # whoever resumes a state has been in it before, so that is no way to reach it
        if row["to_state"] != RESUME:
            steps[start].add(end)
    for states in moving_regions(playbook).values():
        reached = {row["state"] for row in states if row.is_true("is_initial")}
        waiting = list(reached)
        while waiting:
            for state in steps[waiting.pop()] - reached:
                reached.add(state)
                waiting.append(state)
        for row in states:
            out = ways_out[row["state"]] - {row["state"]}
            if row["state"] not in reached:
                fix = "Add a row to lifecycle_transitions that leads to it, or remove the state."
                yield row.finding("state", f"'{row['state']}' cannot be reached from the initial state.", fix)
            if not out and not row.is_true("is_final"):
                fix = "Add a row to lifecycle_transitions that leads out, or set is_final to true."
                yield row.finding("is_final", f"'{row['state']}' can never be left and is not final.", fix)
            if out and row.is_true("is_final"):
                fix = "Set it to false, or remove the transitions."
                yield row.finding("is_final", f"'{row['state']}' is final and can be left.", fix)


def _moves(playbook: Playbook) -> Iterator[Finding]:
    states = playbook.by("lifecycle_states", "state")
    shown = derived_region(playbook)
    for row in playbook.rows("lifecycle_transitions"):
        start, end = states.get(row["from_state"]), states.get(row["to_state"])
        if start is None:
            continue
        if start["region"] == shown:
            fix = "Move the states that it is derived from (lifecycle_display says which)."
            yield row.finding("from_state", f"'{row['from_state']}' is derived and does not move by itself.", fix)
        if row["to_state"] == RESUME and not start.is_true("is_interruption"):
            problem = f"'{row['from_state']}' is no interruption, so there is nothing to resume."
            yield row.finding("to_state", problem, "Name the state it goes to.")
        if end is not None and end["region"] != start["region"]:
            problem = f"It leads from region '{start['region']}' to region '{end['region']}'."
            yield row.finding("to_state", problem, "Regions move on their own: give each region its own row.")


def _ties(playbook: Playbook) -> Iterator[Finding]:
    """At one instant the smaller priority goes first, which only orders signals if each has one of its own."""
    by_signal: dict[str, Row] = {}
    by_priority: dict[str, Row] = {}
    for row in playbook.rows("lifecycle_transitions"):
        first = by_signal.setdefault(row["signal_id"], row)
        if first["priority"] != row["priority"]:
            problem = f"'{row['signal_id']}' has priority {first['priority']} in row {first.number}."
            yield row.finding("priority", problem, "A signal has one priority; make them equal.")
            continue
        other = by_priority.setdefault(row["priority"], row)
        if other["signal_id"] != row["signal_id"]:
            problem = (
                f"Its guard overlaps with '{other['signal_id']}' (row {other.number}): both have {row['priority']}."
            )
            yield row.finding("priority", problem, "Give one of the two signals a priority of its own.")


def _instant_cycles(playbook: Playbook) -> Iterator[Finding]:
    """Signals that fire on the same event must not lead in a circle: every event would end where it began."""
    signals = playbook.by("signal_definitions", "signal_id")
    by_behaviour: defaultdict[str, list[tuple[str, str, Row]]] = defaultdict(list)
    for start, end, row in edges(playbook):
        signal = signals.get(row["signal_id"])
        if signal is not None and signal["kind"] in AT_ONCE:
            by_behaviour[signal["behaviour"]].append((start, end, row))
    for behaviour, found in by_behaviour.items():
        steps: defaultdict[str, set[str]] = defaultdict(set)
        for start, end, _ in found:
            steps[start].add(end)
        told: set[int] = set()
        for start, end, row in found:
            if row.number not in told and _leads_to(steps, end, start):
                told.add(row.number)
                problem = f"The event '{behaviour}' leads in a circle through '{start}' and '{end}' at one instant."
                yield row.finding("signal_id", problem, "Let one direction ask for other evidence.")


def _leads_to(steps: dict[str, set[str]], start: str, end: str) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        state = waiting.pop()
        if state == end:
            return True
        if state not in seen:
            seen.add(state)
            waiting += steps.get(state, ())
    return False


def _display(playbook: Playbook) -> Iterator[Finding]:
    """Whatever the regions say, exactly one rule shows one state, and no rule or state is there for nothing."""
    rules = sorted(playbook.rows("lifecycle_display"), key=lambda row: row.whole("position"))
    if not rules:
        return
    regions = {region: [row["state"] for row in rows] for region, rows in moving_regions(playbook).items()}
    states = playbook.by("lifecycle_states", "state")
    for rule in rules:
        for region, names in regions.items():
            for word in rule.words(region):
                if word not in names:
                    yield rule.finding(region, f"'{word}' is no state of region '{region}'.", closest(word, names))
        shown = states.get(rule["state"])
        if shown is not None and shown["region"] in regions:
            problem = f"'{rule['state']}' belongs to region '{shown['region']}', which moves by itself."
            yield rule.finding("state", problem, "Name a derived state.")
    yield from _display_coverage(rules, regions)
    shown_states = {rule["state"] for rule in rules}
    derived = derived_region(playbook)
    for row in states.values():
        if row["region"] == derived and row["state"] not in shown_states:
            problem = f"No rule of lifecycle_display shows '{row['state']}', so nobody is ever in it."
            yield row.finding("state", problem, "Add a rule, or remove the state.")


def _display_coverage(rules: list[Row], regions: dict[str, list[str]]) -> Iterator[Finding]:
    used = set()
    for states in itertools.product(*regions.values()):
        now = dict(zip(regions, states, strict=True))
        match = next((rule for rule in rules if applies(rule, now)), None)
        if match is None:
            text = ", ".join(f"{region} = {state}" for region, state in now.items())
            yield rules[-1].finding("position", f"No rule shows a state for {text}.", "Add one that does.")
            return
        used.add(match.number)
    for rule in rules:
        if rule.number not in used:
            problem = f"It never applies: rules before it catch everything that would show '{rule['state']}'."
            yield rule.finding("position", problem, "Move it up, narrow the others, or remove it.")


def applies(rule: Row, now: dict[str, str]) -> bool:
    """Whether a display rule applies to the states of all regions; an empty field lets any state pass."""
    return all(not rule[region] or state in rule.words(region) for region, state in now.items())

"""Corruptions of the playbook, one row each: does `lifecycle check` see every one, in the right file and field?

Each corruption is a slip that an editor of the seeds can make. It is applied to the rows as they are read, never to the
files. Caught means that a new finding names the file and the field given here; `by` says who has to catch it: what
`check` cannot see without a warehouse is left to a dbt test, and listed as such.

    python -m benchmarks.playbook_mutations
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, main
from lifecycle.playbook import sheets
from lifecycle.playbook.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.playbook.sheets import Finding, Playbook, Row

CHECK = "check"
LEAST = 40
SECONDS_BAR = 5.0


@dataclass(frozen=True, slots=True)
class Mutation:
    """One slip: in the rows of a seed that agree with `where`, the first is changed, doubled or deleted.

    `named` is the file and the field that the message has to point at, where that is not the changed field itself.
    """

    seed: str
    where: dict[str, str]
    change: dict[str, str] = field(default_factory=dict)
    doubled: bool = False
    deleted: bool = False
    named: tuple[str, str] | None = None
    by: str = CHECK

    @property
    def expected(self) -> tuple[str, str]:
        """The seed and the field that a message has to name."""
        return self.named or (self.seed, next(iter(self.change), ""))

    def __str__(self) -> str:
        key = ", ".join(self.where.values())
        if self.deleted:
            return f"{self.seed}: {key} deleted"
        return f"{self.seed}: {key}{' doubled with' if self.doubled else ''} {self.change}"


def state(name: str, **change: str) -> Mutation:
    """A slip in lifecycle_states."""
    return Mutation("lifecycle_states", {"state": name}, change)


def move(start: str, signal: str, **change: str) -> Mutation:
    """A slip in lifecycle_transitions."""
    return Mutation("lifecycle_transitions", {"from_state": start, "signal_id": signal}, change)


def action(name: str, **change: str) -> Mutation:
    """A slip in actions."""
    return Mutation("actions", {"action": name}, change)


def permit(name: str, doing: str, **change: str) -> Mutation:
    """A slip in state_permits."""
    return Mutation("state_permits", {"state": name, "action": doing}, change)


def turn(after: str, signal: str, **change: str) -> Mutation:
    """A slip in journeys."""
    return Mutation("journeys", {"after_action": after, "signal_id": signal}, change)


MUTATIONS: tuple[Mutation, ...] = (
    # who and where
    state("trial", owner_team="groth"),
    state("trial", owner_team=""),
    state("trial", assisting_teams="sales sucess support"),
    state("onboarding", assisting_teams="support success"),
    state("onboarding", region="custommer"),
    state("churned", position="3"),
    state("churned", time_limit_days="a year"),
    state("churned", is_initial="yes"),
    state("calm", is_initial="false"),
    state("habitual", is_initial="true"),
    state("habitual", is_final="true"),
    Mutation("lifecycle_states", {"state": "adopted"}, doubled=True, named=("lifecycle_states", "state")),
    state("calm", is_interruption="true"),
    Mutation("teams", {"team": "finance"}, deleted=True, named=("lifecycle_states", "owner_team")),
    # moves
    move("prospect", "first_sign_up", from_state="prospct"),
    move("prospect", "first_sign_up", signal_id="first_signup"),
    move("prospect", "first_sign_up", to_state="in_trail"),
    move("prospect", "first_sign_up", to_state=""),
    move("prospect", "first_sign_up", reason=""),
    move("prospect", "first_sign_up", to_state="prospect"),
    move("prospect", "first_sign_up", to_state="resume"),
    move("prospect", "first_sign_up", to_state="exploring"),
    move("prospect", "first_sign_up", priority="31"),
    move("prospect", "first_sign_up", priority="first"),
    move("paying", "churn", priority="11"),
    move("paying", "churn", from_state="churned"),
    Mutation(
        "lifecycle_transitions", {"to_state": "trial_ended"}, doubled=True, named=("lifecycle_transitions", "signal_id")
    ),
    Mutation("lifecycle_transitions", {"to_state": "leaving"}, deleted=True, named=("lifecycle_states", "state")),
    Mutation(
        "lifecycle_transitions",
        {"from_state": "paying", "signal_id": "expansion"},
        {"from_state": "paying_more", "to_state": "paying"},
        doubled=True,
        named=("lifecycle_transitions", "signal_id"),
    ),
    # what is shown
    Mutation("lifecycle_display", {"state": "dormant"}, {"engagement": "sillent"}),
    Mutation("lifecycle_display", {"state": "dormant"}, {"state": "silent"}),
    Mutation("lifecycle_display", {"state": "lead"}, {"revenue": ""}, named=("lifecycle_display", "position")),
    Mutation("lifecycle_display", {"state": "trial"}, deleted=True, named=("lifecycle_display", "position")),
    Mutation("lifecycle_display", {"state": "dormant"}, {"position": "14"}, named=("lifecycle_display", "position")),
    Mutation("lifecycle_display", {"state": "dormant"}, deleted=True, named=("lifecycle_states", "state")),
    # actions
    action("welcome_trial", signal_id="trial_begun"),
    action("welcome_trial", destination="customer.io"),
    action("welcome_trial", object="tickets"),
    action("welcome_trial", owner_team="marketing"),
    action("welcome_trial", owner_team="sales"),
    action("welcome_trial", priority="0"),
    action("welcome_trial", cooldown_hours="-1"),
    action("welcome_trial", cooldown_hours="1e6"),
    action("welcome_trial", stale_after_hours="720"),
    action("welcome_trial", value_usd="much"),
    action("welcome_trial", value_usd="-5"),
    action("welcome_trial", quiet_from_hour="24"),
    action("welcome_trial", quiet_until_hour=""),
    action("welcome_trial", enabled_at="last week"),
    action("welcome_trial", enabled_at=""),
    action("welcome_trial", cap_class="mesage"),
    action("welcome_trial", requires_consent="false"),
    action("welcome_trial", respects_holdout="false"),
    action("welcome_trial", is_transactional="no"),
    action("welcome_trial", mode="on"),
    action("welcome_trial", control_percent="0"),
    action("welcome_trial", control_percent="90"),
    action("welcome_trial", goal_signal_id="first_success"),
    action("welcome_trial", goal_signal_id="trial_started"),
    action("welcome_trial", urgency="asap"),
    action("welcome_trial", title=" Welcome to the trial"),
    action("mark_deal_expanded", template="grown"),
    Mutation("actions", {"action": "help_failed_exports"}, doubled=True, named=("actions", "action")),
    Mutation("actions", {"action": "help_failed_exports"}, deleted=True, named=("state_permits", "action")),
    # permits
    permit("trial", "welcome_trial", state="trail"),
    permit("trial", "welcome_trial", state="exploring"),
    permit("trial", "welcome_trial", team="gowth"),
    permit("trial", "welcome_trial", team="finance"),
    permit("trial", "welcome_trial", action="welcome_trail"),
    permit("trial", "welcome_trial", max_per_stay="0"),
    permit("trial", "welcome_trial", max_per_stay=""),
    Mutation(
        "state_permits", {"state": "trial", "action": "welcome_trial"}, doubled=True, named=("state_permits", "action")
    ),
    Mutation(
        "state_permits",
        {"state": "trial", "action": "welcome_trial"},
        {"team": "success"},
        doubled=True,
        named=("state_permits", "team"),
    ),
    Mutation("state_permits", {"action": "escalate_dormant_customer"}, deleted=True, named=("actions", "action")),
    # journeys and what follows from time
    turn("invite_back_to_product", "message_ignored_3d", next_action="invite_bak_again"),
    turn("invite_back_to_product", "message_ignored_3d", next_action="invite_back_to_product"),
    turn("invite_back_to_product", "message_ignored_3d", next_action="win_back_offer"),
    turn("invite_back_to_product", "message_ignored_3d", signal_id="went_quiet_14d"),
    turn("invite_back_to_product", "message_ignored_3d", version="one"),
    turn("invite_back_to_product", "message_ignored_3d", in_force_from="2026-01-01 00:00:00"),
    turn("invite_back_to_product", "message_ignored_3d", meaning=""),
    turn("help_stalled_integration", "message_ignored_3d", next_action="invite_back_again"),
    Mutation("actions", {"action": "invite_back_to_product"}, {"goal_signal_id": ""}, named=("journeys", "signal_id")),
    Mutation(
        "state_permits",
        {"state": "trial", "action": "route_overstay"},
        deleted=True,
        named=("lifecycle_states", "time_limit_days"),
    ),
    Mutation(
        "state_permits",
        {"state": "at_risk", "action": "escalate_hand_off"},
        deleted=True,
        named=("lifecycle_states", "pick_up_hours"),
    ),
    move("paying", "churn", signal_id="overstayed"),
    Mutation("state_invariants", {"state": "quiet"}, {"measure": "days_since_login"}),
    Mutation("state_invariants", {"state": "quiet"}, {"at_least": ""}),
    Mutation("state_invariants", {"state": "quiet"}, {"state": "quite"}),
    # limits and groups
    Mutation("frequency_caps", {"cap_class": "message"}, {"max_actions": "0"}),
    Mutation("frequency_caps", {"cap_class": "message"}, {"max_actions": "9"}),
    Mutation("frequency_caps", {"cap_class": "ticket"}, {"cap_class": "tickets"}),
    Mutation("frequency_caps", {"cap_class": "ticket"}, {"per": "week"}, named=("frequency_caps", "per")),
    Mutation("frequency_caps", {"cap_class": "ticket"}, {"within_seconds": ""}),
    Mutation("holdouts", {"layer": "global"}, {"last_shard": "10000"}),
    Mutation("holdouts", {"action": "celebrate_first_signature"}, {"first_shard": "4000"}),
    Mutation("holdouts", {"action": "celebrate_first_signature"}, {"salt": "celebrations-2026"}),
    Mutation("holdouts", {"action": "celebrate_first_signature"}, {"action": "remind_of_payment"}),
    Mutation("time_zones", {"customer_id": "*"}, {"time_zone": "Europe/Berln"}),
    Mutation("time_zones", {"customer_id": "*"}, deleted=True, named=("time_zones", "customer_id")),
    Mutation("holdouts", {"layer": "global"}, {"last_shard": "9999"}),
    Mutation("holdouts", {"layer": "global"}, {"salt": ""}),
    Mutation("holdouts", {"layer": "global"}, deleted=True, named=("holdouts", "")),
    # what is listened to
    Mutation("behaviours", {"behaviour": "export_failed"}, {"event_name": "exports_failed"}),
    Mutation("behaviours", {"behaviour": "export_failed"}, {"product": "esing"}),
    Mutation("behaviours", {"behaviour": "envelope_signed"}, {"product": "editor"}),
    Mutation("behaviours", {"behaviour": "seats_in_use"}, {"event_name": "seats_used"}),
    Mutation("behaviours", {"behaviour": "seats_added"}, {"source": "product"}),
    Mutation("behaviours", {"behaviour": "light_use_entered"}, {"property_value": "lite"}),
    Mutation("behaviours", {"behaviour": "first_value", "product": "esign"}, {"grain": "day"}),
    Mutation(
        "actions",
        {"action": "ask_what_is_missing"},
        {"signal_id": "cohort_daily"},
        named=("behaviours", "property_value"),
    ),
    Mutation("signal_definitions", {"signal_id": "pricing_interest"}, {"behaviour": "pricing_vewed"}),
    Mutation("signal_definitions", {"signal_id": "pricing_interest"}, {"kind": "counts"}),
    Mutation("signal_definitions", {"signal_id": "pricing_interest"}, {"occurrences": ""}),
    Mutation("deal_stages", {"template": "expanded"}, {"template": "grown"}),
    Mutation("suppression_reasons", {"reason": "paused"}, {"position": "1"}),
)


def corrupted(playbook: Playbook, mutation: Mutation) -> Playbook:
    """A copy of the playbook with the slip in it; the line numbers stay those of the file."""
    changed = copy.copy(playbook)
    sheet = playbook.sheets[mutation.seed]
    matching = [row for row in sheet.rows if all(row[name] == value for name, value in mutation.where.items())]
    if not matching:
        raise LookupError(f"{mutation}: the playbook has no such row.")
    target = matching[0]
    unknown = set(mutation.change) - set(sheet.types)
    if unknown:
        raise LookupError(f"{mutation}: no column {', '.join(sorted(unknown))}.")
    slip = type(target)(target.file, target.number, {**target.values, **mutation.change})
    if mutation.doubled:
        last = sheet.rows[-1].number + 1
        rows = [*sheet.rows, type(target)(slip.file, last, slip.values)]
    else:
        rows = [_kept(row, target, slip) for row in sheet.rows if row is not target or not mutation.deleted]
    changed.sheets = {**playbook.sheets, mutation.seed: replace(sheet, rows=rows)}
    return changed


def _kept(row: Row, target: Row, slip: Row) -> Row:
    return slip if row is target else row


def caught(playbook: Playbook, mutation: Mutation, before: Sequence[Finding] = ()) -> list[Finding]:
    """The new findings that name the expected file and field."""
    seed, name = mutation.expected
    return [
        finding
        for finding in judge(corrupted(playbook, mutation))
        if finding not in before
        and finding.file == playbook.sheets[seed].file
        and (not name or name in finding.field.split(", "))
    ]


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Apply every slip, and time one whole check."""
    del arguments
    started = time.perf_counter()
    playbook = sheets.read()
    before = judge(playbook)
    seconds = time.perf_counter() - started
    ours = [mutation for mutation in MUTATIONS if mutation.by == CHECK]
    missed = [mutation for mutation in ours if not caught(playbook, mutation, before)]
    return [
        Figure("faults of the playbook as it stands", len(before), "findings", bar=0),
        Figure("corruptions in the list", len(MUTATIONS), "corruptions", bar=LEAST, bar_is="at least"),
        Figure("not seen by lifecycle check", len(missed), "corruptions", "; ".join(map(str, missed)), bar=0),
        Figure("left to dbt tests", len(MUTATIONS) - len(ours), "corruptions"),
        Figure("one whole check", seconds, "s", "reading and judging every seed", bar=SECONDS_BAR),
    ]


if __name__ == "__main__":
    main(measure, argparse.ArgumentParser(description=__doc__.splitlines()[0]))

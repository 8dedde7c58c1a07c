"""Whether signals can hear what they listen for, and whether every usage cohort sets something off."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from lifecycle.playbook.declared import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.playbook.sheets import Finding, Playbook, Row

STEPS = ("behaviour", "until_behaviour", "then_behaviour", "last_behaviour")
FIGURES = {
    "usage_cohort_entered": "product",
    "usage_cohort_left": "product",
    "frequency_band_entered": "product",
    "frequency_band_left": "product",
    "active_days_28d": "product",
    "active_days_trend": "product",
    "seats_in_use": "product",
    "churn_risk": "product",
    "upgrade_readiness": "product",
    "mrr": "stripe",
    "revenue_at_risk": "stripe",
    "seats": "stripe",
    "renewal_promised": "stripe",
}
"""What int_signals__measured gives, and the silo that proves it."""
SINGLE_FEATURE = "a single feature"
"""Any value of feature_mix that is not a band's name: the feature itself."""


def findings(playbook: Playbook) -> Iterator[Finding]:
    """Every behaviour that never happens, and every cohort whose customers nothing is done for."""
    yield from _events(playbook)
    yield from _figures(playbook)
    yield from _ways(playbook)
    yield from _cohorts(playbook)


def _events(playbook: Playbook) -> Iterator[Finding]:
    """An event that the product never sends is a signal that never fires, in silence."""
    events = playbook.rows("product_events")
    if not events:
        return
    known = {row["event_name"] for row in events}
    sent = {(row["event_name"], row["product"]) for row in events}
    for row in playbook.rows("behaviours"):
        name = row["event_name"]
        if row["source"] != "product" or row["grain"] == "measured" or name == "*" or not name:
            continue
        if name not in known:
            yield row.finding("event_name", f"The product never sends '{name}'.", closest(name, known))
        elif row["product"] and (name, row["product"]) not in sent:
            products = {product for event, product in sent if event == name}
            problem = f"'{row['product']}' never sends '{name}'."
            yield row.finding("product", problem, closest(row["product"], products))


def _figures(playbook: Playbook) -> Iterator[Finding]:
    for row in playbook.rows("behaviours"):
        if row["grain"] != "measured":
            continue
        name = row["event_name"]
        if name not in FIGURES:
            yield row.finding("event_name", f"'{name}' is none of our own figures.", closest(name, FIGURES))
        elif row["source"] != FIGURES[name]:
            problem = f"'{name}' is a figure of {FIGURES[name]}, not of {row['source']}."
            yield row.finding("source", problem, f"Write {FIGURES[name]}.")


def _ways(playbook: Playbook) -> Iterator[Finding]:
    """The rows of one behaviour are one thing found in several ways: in one silo, and counted alike."""
    first: dict[str, Row] = {}
    for row in playbook.rows("behaviours"):
        other = first.setdefault(row["behaviour"], row)
        for field in ("source", "grain"):
            if row[field] != other[field]:
                problem = f"Row {other.number} finds '{row['behaviour']}' with {field} '{other[field]}'."
                yield row.finding(field, problem, "Give the rows of a behaviour the same, or another name.")


def _cohorts(playbook: Playbook) -> Iterator[Finding]:
    """Each cohort over all products has an action that may follow when a customer enters it."""
    bands: defaultdict[str, list[Row]] = defaultdict(list)
    for row in playbook.rows("usage_cohort_bands"):
        if row["product"] == "all":
            bands[row["measure"]].append(row)
    named = {f"{measure}_band": {row["band"] for row in rows} for measure, rows in bands.items()}
    named["frequency_band"] = {"new", *named.get("frequency_band", ())}
    entries = [
        row
        for row in playbook.rows("behaviours")
        if row["event_name"] in ("usage_cohort_entered", "frequency_band_entered") and row["product"] in ("all", "")
    ]
    if not bands["frequency"] or not entries:
        return
    for row in entries:
        for value in row.words("property_value"):
            known = named.get(row["property_name"])
            if known and value not in known:
                yield row.finding("property_value", f"There is no band '{value}'.", closest(value, known))
    answered = _answered(playbook)
    heard = [row for row in entries if row["behaviour"] in answered]
    for cohort in _cohorts_of(bands):
        if not any(_matches(row, cohort) for row in heard):
            name = "/".join(cohort.values())
            problem = f"Nothing is done for customers who enter the cohort {name}."
            fix = "Add a behaviour, a signal and an action with a permit."
            yield entries[0].finding("property_value", problem, fix)


def _cohorts_of(bands: dict[str, list[Row]]) -> Iterator[dict[str, str]]:
    """Every cohort that the bands make; new and dormant customers have no visits to judge."""
    yield {"frequency_band": "new"}
    frequencies = sorted(bands["frequency"], key=lambda row: row.whole("band_order"))
    yield {"frequency_band": frequencies[0]["band"]}
    mixes = [row["band"] if row.whole("band_order") == 1 else SINGLE_FEATURE for row in bands["mix"]]
    durations = [row["band"] for row in bands["duration"]]
    for frequency, duration, mix in itertools.product([row["band"] for row in frequencies[1:]], durations, mixes):
        yield {"frequency_band": frequency, "duration_band": duration, "feature_mix": mix}


def _answered(playbook: Playbook) -> set[str]:
    """The behaviours of signals that an action listens to which is permitted somewhere."""
    permitted = {row["action"] for row in playbook.rows("state_permits")}
    listening = {row["signal_id"] for row in playbook.rows("actions") if row["action"] in permitted}
    signals = [row for row in playbook.rows("signal_definitions") if row["signal_id"] in listening]
    return {row[step] for row in signals for step in STEPS if row[step]}


def _matches(row: Row, cohort: dict[str, str]) -> bool:
    """Whether entering the cohort is this behaviour; only names are compared, cohorts have no numbers."""
    if not row["property_name"]:
        return True
    value = cohort.get(row["property_name"])
    if value is None:
        return False
    match row["property_test"]:
        case "equals":
            return value == row["property_value"]
        case "one_of":
            return value in row.words("property_value")
        case "not":
            return value != row["property_value"]
    return False

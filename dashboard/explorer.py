"""The explorer: one customer's story, and the playbook played over the past again. An optional extra, `app`.

    pip install --editable '.[app]'
    lifecycle explore

It reads the published file only, one version per look. The past is played by `lifecycle backtest`, the same command as
on a terminal, in a process of its own: it needs the warehouse, and says so where there is none.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from dashboard import standing, story
from dashboard.content import Value
from dashboard.published import NothingPublishedError, opened
from dashboard.wording import count, dollars, interval, money, plain, several, share

if TYPE_CHECKING:
    from dashboard.published import Published, Row

# the environment variable that names the published file
PUBLISHED = "LIFECYCLE_PUBLISHED"
SPANS = {"90 days": 90, "half a year": 182, "a year": 365, "everything": 3650}
# seconds that playing the past may take
LONGEST = 900


def main() -> None:
    """The page, drawn anew at every touch."""
    st.set_page_config(page_title="Customer lifecycle", layout="wide")
    pointer = Path(os.environ.get(PUBLISHED, "data/published/lifecycle.duckdb"))
    try:
        with opened(pointer) as published:
            as_of = published.row(story.AS_OF)["as_of"]
            st.sidebar.markdown(f"### Customer lifecycle\nas published for {as_of:%d %b %Y %H:%M} UTC")
            for doubt in standing.doubts(published):
                st.sidebar.warning(literal(doubt.text))
            room = st.sidebar.radio("Look at", ["One customer", "The past, played again"], key="room")
            if room == "One customer":
                one_customer(published, as_of)
            else:
                the_past(published)
    except NothingPublishedError as error:
        st.error(str(error))


def literal(text: str) -> str:
    """A text from outside as Markdown that shows it letter by letter: no link, no emphasis, no formula."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!$:~|<>])", r"\\\1", text)


def one_customer(published: Published, as_of: dt.datetime) -> None:
    """Where a customer stands and how it came there."""
    asked = st.sidebar.text_input(
        "Find a customer",
        key="asked",
        placeholder="a name, a domain, any id",
        help="Empty: most revenue at stake first.",
    ).strip()
    rows = published.rows(story.FOUND, {"asked": asked}) if asked else published.rows(story.AT_STAKE)
    if not rows:
        st.info(f"Nobody is known as “{literal(asked)}”. Names and domains may be cut short; an id has to be whole.")
        return
    names = {row["customer_id"]: story.shown_name(row) for row in rows}
    customer = st.sidebar.selectbox("Customer", list(names), format_func=names.__getitem__, key="customer")
    span = SPANS[st.sidebar.selectbox("How far back", list(SPANS), index=1, key="span")]
    row = published.row(story.CUSTOMER, {"customer": customer})
    since = as_of - dt.timedelta(days=span)
    if row["first_seen_at"] is not None:
        since = max(since, row["first_seen_at"] - dt.timedelta(days=1))
    when = {"customer": customer, "since": since, "until": as_of}

    st.title(literal(row["customer_name"] or customer))
    since_when = f" since {row['state_entered_at']:%d %b %Y}" if row["state_entered_at"] else ""
    over = " It has been there for longer than it should." if row["is_over_time_limit"] else ""
    state = plain(row["lifecycle_state"] or "no state")
    st.markdown(f"**{state}**{since_when}; {row['state_owner_team']} answers for it.{over}  \n`{customer}`")
    figures(row)
    for wait in published.rows(story.WAITS, {"customer": customer}):
        st.info(f"Waits for {wait['owner_team']} since {wait['waiting_since']:%d %b %Y}: {literal(wait['because'])}")
    alarms = published.rows(story.ALARMS, {"customer": customer})
    for alarm in alarms:
        st.warning(
            f"{plain(alarm['alarm'])} in {plain(alarm['lifecycle_state'])} since {alarm['wrong_since']:%d %b %Y}:"
            f" {alarm['meaning'] or ''}"
        )

    signals = published.rows(story.SIGNALS, when)
    decisions = published.rows(story.DECISIONS, when)
    st.subheader("Where it stood")
    st.altair_chart(story.stays(published.rows(story.STAYS, when), since, as_of), width="stretch")
    st.subheader("What it did, and what we did about it")
    st.altair_chart(story.happenings(signals, decisions, since, as_of), width="stretch")
    used = published.rows(story.USAGE, {**when, "since": since.date(), "until": as_of.date()})
    if used:
        st.subheader("Use, events a day")
        st.altair_chart(story.usage(used, since, as_of), width="stretch")
    the_numbers(published, row, signals, decisions, when)


def figures(row: Row) -> None:
    """What it is worth and what it is likely to do, each estimate with its interval."""
    columns = st.columns(4)
    columns[0].metric("MRR, USD", money(row["mrr"]))
    columns[0].caption(f"plan {row['plan'] or 'none'}, {several(row['seats'] or 0, 'seat')}")
    for column, name, label in (
        (columns[1], "churn_risk", "Risk of leaving"),
        (columns[2], "upgrade_readiness", "Upgrade"),
    ):
        column.metric(label, share(row[name]))
        if row[name] is None:
            column.caption(f"no score: {row['not_scored_because'] or 'no reason given'}")
        else:
            column.caption(f"{interval(row, name, 'share')}; {row[f'{name}_reasons']}")
    columns[3].metric("LTV of its channel, USD", dollars(row["channel_ltv"]))
    if row["channel_ltv"] is not None:
        columns[3].caption(interval(row, "channel_ltv", "dollars"))


def the_numbers(published: Published, row: Row, signals: list[Row], decisions: list[Row], when: dict[str, Any]) -> None:
    """The same as tables, for who wants the ids."""
    proof, decided, handed, permitted = st.tabs(["Signals and proof", "Decisions", "Hand-offs", "Permitted now"])
    proof.dataframe(readable(signals), hide_index=True, width="stretch")
    decided.dataframe(readable(decisions), hide_index=True, width="stretch")
    handed.dataframe(
        readable(published.rows(story.HAND_OFFS, {"customer": when["customer"], "since": when["since"]})),
        hide_index=True,
        width="stretch",
    )
    actions = sorted((row["allowed_actions"] or "").split(", "))
    permitted.markdown("\n".join(f"- {plain(action)}" for action in actions if action) or "Nothing is permitted.")


def readable(rows: list[Row]) -> dict[str, list[Any]]:
    """Rows as columns, with names as words; instants as the other pages write them."""
    return {
        plain(name): [
            Value(row[name], "instant").shown if isinstance(row[name], dt.datetime) else row[name] for row in rows
        ]
        for name in (rows[0] if rows else {})
    }


def the_past(published: Published) -> None:
    """What a signal or an action would have done, before it is enabled; the last look stays for comparison."""
    names = {row["name"]: row for row in published.rows(story.NAMES)}
    st.title("The past, played again")
    st.markdown(
        "What would a signal or an action have done, day after day, with what a daily run knew then? Caps, cooldowns"
        " and arbitration hold as they would have."
    )
    name = st.sidebar.selectbox(
        "Signal or action",
        list(names),
        format_func=lambda each: f"{plain(each)} ({names[each]['kind']})",
        key="subject",
    )
    days = st.sidebar.slider("Days back", 7, 365, 30, key="days")
    horizon = st.sidebar.slider("An outcome counts within days", 7, 90, 30, key="horizon")
    looks: list[dict[str, Any]] = st.session_state.setdefault("looks", [])
    if st.sidebar.button("Play it again", type="primary", key="play"):
        with st.spinner(f"Playing {days} days again; a second or two a day."):
            found = played(name, days, horizon)
        if "message" in found:
            st.error(found["message"])
        else:
            looks.insert(0, found)
            del looks[2:]
    if not looks:
        st.info("Choose what to play and how far back on the left.")
    for place, (column, look) in enumerate(zip(st.columns(max(len(looks), 1)), looks, strict=False)):
        with column:
            told(look, is_latest=place == 0)


def played(name: str, days: int, horizon: int) -> dict[str, Any]:
    """The backtest's own answer, or a `message` where it has none."""
    command = [sys.executable, "-m", "lifecycle.cli", "backtest", name, "--days", str(days), "--horizon", str(horizon)]
    try:
        done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return {"message": f"It took longer than {LONGEST} seconds; play fewer days."}
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        found = {"message": done.stderr.strip() or "The backtest gave no answer."}
    if done.returncode and "message" not in found:
        found = {"message": str(found.get("error") or done.stderr.strip() or found)}
    return found


def told(look: dict[str, Any], *, is_latest: bool) -> None:
    """One backtest."""
    st.subheader(plain(look["name"]))
    st.caption(f"{look['first_day']} to {look['last_day']}" + ("" if is_latest else ", the look before"))
    tiles = st.columns(4)
    tiles[0].metric("Fired", count(look["fired"]))
    tiles[1].metric("Customers", count(look["customers"]))
    tiles[2].metric("Permitted", count(look["permitted"]))
    tiles[3].metric("Reached", count(look["customers_reached"]))
    if look["unknown"]:
        st.caption(f"{count(look['unknown'])} silences could not be proven: a silo had not spoken.")
    st.altair_chart(story.per_day(look["fired_per_day"], look["permitted_per_day"], look["first_day"]), width="stretch")
    if look["suppressed"]:
        st.markdown("**Held back by**")
        st.altair_chart(story.bars(look["suppressed"]), width="stretch")
    if look["overlaps"]:
        st.markdown("**On the same day the customer also got**")
        st.altair_chart(story.bars(look["overlaps"], story.AMBER), width="stretch")
    for destination, load in look["load"].items():
        st.markdown(
            f"**{destination}** would get {count(load['total'])}, {load['mean_per_day']:g} a day, at most"
            f" {count(load['most_in_a_day'])}."
        )
    if look["foresight"]:
        st.markdown("**What it foretold**")
        st.dataframe(foretold(look["foresight"]), hide_index=True, width="stretch")


def foretold(foresight: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The worth of the signal as a warning, a row per outcome, with intervals."""

    def percent(found: dict[str, Any]) -> str:
        if found["value"] is None:
            return "unknown"
        return f"{share(found['value'])} ({share(found['low'])} to {share(found['high'])})"

    def times(found: dict[str, Any]) -> str:
        if found["value"] is None or found["low"] is None or found["high"] is None:
            return "unknown"
        return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"

    return {
        "outcome": [each["outcome"] for each in foresight],
        "followed a firing": [percent(each["precision"]) for each in foresight],
        "at any time": [percent(each["at_any_time"]) for each in foresight],
        "times as often": [times(each["lift"]) for each in foresight],
        "was foretold": [percent(each["recall"]) for each in foresight],
    }


if __name__ == "__main__":
    main()

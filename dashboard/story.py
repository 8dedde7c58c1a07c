"""One customer's story: what is asked of the published file, and the pictures drawn from the answers.

The pictures use a few colours that read on light and on dark, and every mark says in a sentence what it is, for the
pointer. Their time axes begin at the same place, so that what stands below something happened with it.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import altair as alt

from dashboard.wording import count, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboard.published import Row

Drawn = alt.LayerChart | alt.FacetChart
# white text on each stands out 4.5 to 1, each from a light and a dark page 3 to 1
TEAL, AMBER, GREY = "#1f7785", "#9a6510", "#6c757f"
EDGE = 84  # CSS pixels left of every time axis
TEAMS = (TEAL, AMBER, "#7d5ca8", "#3f7d4c", "#c05040", "#4f72b8", GREY, "#a3587c")
REGIONS = {"customer": "shown", "engagement": "engagement", "revenue": "revenue", "risk": "risk"}
LANES = {"signal": "it did", "sent": "we sent", "permitted": "permitted", "suppressed": "held back"}

AS_OF = "select max(as_of) as as_of from marts.publish_log where outcome = 'published'"
FOUND = """
    select customers.customer_id, customers.customer_name, customers.lifecycle_state, customers.mrr
    from marts.customer_lifecycle as customers
    where
        customers.customer_id = $asked
        or contains(lower(coalesce(customers.customer_name, '')), lower($asked))
        or contains(lower(coalesce(customers.domain, '')), lower($asked))
        or customers.customer_id in (
            select customer_id from marts.customer_identities where source_record_id = $asked
        )
    order by customers.mrr desc nulls last, customers.customer_id
    limit 50
"""
AT_STAKE = """
    select customer_id, customer_name, lifecycle_state, mrr
    from marts.customer_lifecycle
    order by mrr * churn_risk desc nulls last, mrr desc nulls last, customer_id
    limit 50
"""
CUSTOMER = "select * from marts.customer_lifecycle where customer_id = $customer"
STAYS = """
    select
        region, lifecycle_state, owner_team, greatest(valid_from, $since) as begins, coalesce(valid_to, $until) as ends,
        valid_from, valid_to, recorded_at, entered_by_signal, entered_because, proof_event_ids
    from marts.lifecycle_state_history
    where customer_id = $customer and valid_from < $until and coalesce(valid_to, $until) > $since
    order by region, state_sequence
"""
SIGNALS = """
    select occurred_at, signal_id, outcome, detected_at, is_historical, proof_count, proving_event_ids
    from marts.signals
    where customer_id = $customer and occurred_at >= $since and occurred_at < $until
    order by occurred_at desc, occurrence_id
"""
DECISIONS = """
    select
        decided_at, action, owner_team, destination, decision, held_back_by, lifecycle_state, arm, is_open, release_at,
        sent_at, signal_id
    from marts.action_decisions
    where customer_id = $customer and occurred_at >= $since and occurred_at < $until
    order by decided_at desc, action_id
"""
USAGE = """
    select usage_date, sum(events) as events, max(active_users) as people
    from marts.usage_daily
    where customer_id = $customer and usage_date >= $since and usage_date < $until and product = 'all'
    group by usage_date order by usage_date
"""
HAND_OFFS = """
    select handed_at, from_team, to_team, from_state, to_state, handed_because, pick_up_by, picked_up_at, outcome
    from marts.hand_offs
    where customer_id = $customer and handed_at >= $since order by handed_at desc, hand_off_id
"""
ALARMS = """
    select alarm, region, lifecycle_state, wrong_since, meaning
    from marts.state_alarms where customer_id = $customer order by wrong_since, alarm_id
"""
WAITS = """
    select owner_team, because, waiting_since
    from marts.open_worklist where customer_id = $customer order by worklist_position
"""
NAMES = """
    select 'action' as kind, action as name, count(*) as rows from marts.action_decisions group by action
    union all
    select 'signal', signal_id, count(*) from marts.signals group by signal_id
    order by kind, name
"""


def shown_name(row: Row) -> str:
    """A customer in a list of them."""
    name = row["customer_name"] or row["customer_id"]
    pays = f", {row['mrr']:,.0f} USD a month" if row["mrr"] else ""
    return f"{name} ({plain(row['lifecycle_state'] or 'no state')}{pays})"


def stays(rows: Sequence[Row], since: dt.datetime, until: dt.datetime) -> Drawn:
    """Where it stood in each region, coloured by the team that answered for it."""
    marks = [
        {
            "region": REGIONS.get(row["region"], row["region"]),
            "begins": row["begins"],
            "ends": row["ends"],
            "middle": row["begins"] + (row["ends"] - row["begins"]) / 2,
            "label": plain(row["lifecycle_state"]) if (row["ends"] - row["begins"]) > (until - since) / 12 else "",
            "team": row["owner_team"],
            "said": f"{plain(row['lifecycle_state'])} from {row['valid_from']:%d %b %Y %H:%M}"
            + (f" to {row['valid_to']:%d %b %Y %H:%M}" if row["valid_to"] else " on")
            + f", {row['owner_team']} answers for it"
            + (f"; because: {row['entered_because']}" if row["entered_because"] else ""),
        }
        for row in rows
    ]
    teams = sorted({mark["team"] for mark in marks})
    base = alt.Chart(_data(marks)).encode(
        y=alt.Y("region:N", sort=list(REGIONS.values()), title=None, axis=_lane_axis()),
        tooltip=alt.Tooltip("said:N", title="Stay"),
    )
    bars = base.mark_bar(height=24, cornerRadius=3, stroke="white", strokeWidth=0.6).encode(
        x=_time("begins", since, until),
        x2="ends:T",
        color=alt.Color(
            "team:N",
            scale=alt.Scale(domain=teams, range=[TEAMS[place % len(TEAMS)] for place in range(len(teams))]),
            legend=alt.Legend(title="Who answers for it", orient="top", symbolStrokeWidth=0),
        ),
    )
    # on a narrow screen a short stay has no room for its name: the pointer says it
    fits = alt.ExprRef("scale('x', datum.ends) - scale('x', datum.begins) > 7 * length(datum.label) ? 1 : 0")
    labels = base.mark_text(color="white", fontSize=11, fontWeight=600, opacity=fits).encode(
        x="middle:T", text="label:N"
    )
    return alt.layer(bars, labels).properties(height=100 + 34 * max(len({mark["region"] for mark in marks}), 1))


def happenings(signals: Sequence[Row], decisions: Sequence[Row], since: dt.datetime, until: dt.datetime) -> Drawn:
    """What it did, and what was decided and sent on it."""
    marks = [
        {"lane": LANES["signal"], "at": row["occurred_at"], "said": _signal_said(row), "tone": TEAL}
        for row in signals
        if row["outcome"] == "fired"
    ]
    for row in decisions:
        lane = "sent" if row["sent_at"] else row["decision"]
        tone = {"sent": TEAL, "permitted": AMBER}.get(lane, GREY)
        marks.append({
            "lane": LANES[lane], "at": row["sent_at"] or row["decided_at"], "said": _decision_said(row), "tone": tone,
        })  # fmt: skip
    points = (
        alt.Chart(_data(marks))
        .mark_point(filled=True, size=70, opacity=0.75)
        .encode(
            x=_time("at", since, until),
            y=alt.Y(
                "lane:N",
                title=None,
                scale=alt.Scale(domain=list(LANES.values())),
                axis=_lane_axis(),
            ),
            color=alt.Color("tone:N", scale=None, legend=None),
            tooltip=alt.Tooltip("said:N", title="What"),
        )
    )
    return alt.layer(points).properties(height=190)


def usage(rows: Sequence[Row], since: dt.datetime, until: dt.datetime) -> Drawn:
    """Messages of the product a day."""
    marks = [
        {
            "day": dt.datetime.combine(row["usage_date"], dt.time(12)),
            "events": int(row["events"]),
            "said": f"{row['usage_date']:%d %b %Y}: {count(row['events'])} events, {count(row['people'])} people",
        }
        for row in rows
    ]
    wide = max(1.5, min(14, 760 / max((until - since).days, 1) * 0.8))
    bars = (
        alt.Chart(_data(marks))
        .mark_bar(size=wide, color=TEAL)
        .encode(
            x=_time("day", since, until),
            y=alt.Y(
                "events:Q",
                title=None,
                axis=alt.Axis(tickCount=4, format="~s", minExtent=EDGE, maxExtent=EDGE),
            ),
            tooltip=alt.Tooltip("said:N", title="Use"),
        )
    )
    return alt.layer(bars).properties(height=180)


def per_day(fired: Sequence[int], permitted: Sequence[int], first_day: str) -> Drawn:
    """What a signal would have set off, day by day: fired in grey, permitted in front of it."""
    start = dt.datetime.fromisoformat(first_day)
    marks = [
        {
            "day": start + dt.timedelta(days=day, hours=12),
            "fired": fired[day],
            "permitted": permitted[day] if day < len(permitted) else 0,
            "said": f"{start + dt.timedelta(days=day):%d %b %Y}: {count(fired[day])} fired,"
            f" {count(permitted[day] if day < len(permitted) else 0)} permitted",
        }
        for day in range(len(fired))
    ]
    base = alt.Chart(_data(marks)).encode(
        x=alt.X("day:T", title=None, axis=alt.Axis(grid=False, tickCount=8)),
        tooltip=alt.Tooltip("said:N", title="Day"),
    )
    wide = max(1.5, min(14, 760 / max(len(fired), 1) * 0.8))
    return alt.layer(
        base.mark_bar(size=wide, color=GREY, opacity=0.55).encode(
            y=alt.Y("fired:Q", title=None, axis=alt.Axis(tickMinStep=1, format=",d"))
        ),
        base.mark_bar(size=wide, color=TEAL).encode(y="permitted:Q"),
    ).properties(height=220)


def bars(counts: dict[str, int], colour: str = GREY) -> Drawn:
    """How often each of some names occurred, the most frequent first."""
    marks = [{"name": plain(name), "times": times} for name, times in counts.items()]
    base = alt.Chart(_data(marks)).encode(
        y=alt.Y("name:N", sort="-x", title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=240)),
        x=alt.X("times:Q", title=None, axis=None),
        tooltip=[alt.Tooltip("name:N", title="What"), alt.Tooltip("times:Q", title="Times", format=",d")],
    )
    text = base.mark_text(align="left", dx=5, color=GREY).encode(text=alt.Text("times:Q", format=",d"))
    return alt.layer(base.mark_bar(height=16, cornerRadius=2, color=colour), text).properties(
        height=34 + 26 * max(len(marks), 1)
    )


def _lane_axis() -> alt.Axis:
    return alt.Axis(grid=True, ticks=False, domain=False, minExtent=EDGE, maxExtent=EDGE)


def _time(name: str, since: dt.datetime, until: dt.datetime) -> alt.X:
    domain = [f"{since:%Y-%m-%dT%H:%M:%S}", f"{until:%Y-%m-%dT%H:%M:%S}"]
    return alt.X(f"{name}:T", title=None, scale=alt.Scale(domain=domain), axis=alt.Axis(grid=False, tickCount=8))


def _signal_said(row: Row) -> str:
    late = ", known too late to act on" if row["is_historical"] else ""
    return (
        f"{plain(row['signal_id'])}, {row['occurred_at']:%d %b %Y %H:%M}, proven by"
        f" {count(row['proof_count'])} event(s){late}"
    )


def _decision_said(row: Row) -> str:
    what = f"{plain(row['action'])} on {plain(row['signal_id'])}, {row['decided_at']:%d %b %Y %H:%M}"
    if row["sent_at"]:
        return f"{what}: sent to {row['destination']} {row['sent_at']:%d %b %Y %H:%M}"
    if row["decision"] == "permitted":
        return f"{what}: permitted, {'not sent yet' if row['is_open'] else 'was not sent in time'}"
    return f"{what}: held back by {plain(row['held_back_by'] or '')}"


def _data(marks: list[dict[str, Any]]) -> alt.InlineData:
    """Instants as text, which is all that a picture's data can carry."""
    return alt.InlineData(
        values=[
            {
                name: f"{value:%Y-%m-%dT%H:%M:%S}" if isinstance(value, dt.datetime) else value
                for name, value in mark.items()
            }
            for mark in marks
        ]
    )

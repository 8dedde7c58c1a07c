"""The command `backtest`, and how it tells what was found: in words and as a picture."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from xml.sax.saxutils import escape

import typer

from lifecycle import settings
from lifecycle.answering import Json, answering, say
from lifecycle.backtest import LONGEST, Backtest, compile_decisions, days_since, meant, replay
from lifecycle.errors import CannotRunError
from lifecycle.foresight import Foresight, Share
from lifecycle.lock import held

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def backtest_command(
    name: Annotated[str, typer.Argument(help="A signal or an action of the playbook.")],
    days: Annotated[int, typer.Option(help="How many days back.", min=1, max=LONGEST)] = 90,
    since: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day to play, instead of --days.")
    ] = None,
    horizon: Annotated[int, typer.Option(help="Within how many days an outcome counts as foretold.", min=1)] = 30,
    picture: Annotated[Path | None, typer.Option(help="Where the picture (SVG) goes.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a signal or an action would have done over the last N days, before enabling it."""
    with answering(as_json=as_json) as progress:
        places = settings.places()
        if not places.warehouse.exists():
            raise CannotRunError("There is no warehouse yet: `lifecycle run` or `lifecycle build` makes one.")
        with held(places.lock, "of none", "backtest"):
            subject = meant(places.warehouse, name)
            if since is not None:
                days = days_since(places.warehouse, since.date())
            with progress.step("compile the decisions"):
                statements = compile_decisions(places)
            with progress.step(f"play {days} day(s) again"):
                found = replay(places.warehouse, statements, name, subject, days, horizon)
        path = picture or places.data_dir / "reports" / f"backtest_{name}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw(found), encoding="utf-8")
        say({**asdict(found), "picture": str(path)}, f"{describe(found)}\n\nThe picture is in {path}.", as_json=as_json)


def sparkline(counts: Sequence[int], width: int = 60) -> str:
    """The counts as bars of text, several days to a bar where there are more days than room; an empty day is a gap."""
    step = -(-len(counts) // width)
    sums = [sum(counts[first : first + step]) for first in range(0, len(counts), step)]
    top = max(sums, default=0)
    return "".join(BARS[(each * len(BARS) - 1) // top] if each else " " for each in sums)


def describe(found: Backtest) -> str:
    """What was found, for people."""
    lines = [
        f"{found.name}, {found.first_day} to {found.last_day} ({len(found.fired_per_day)} days)",
        f"  fired      {found.fired:>6,}  |{sparkline(found.fired_per_day)}|  {found.customers:,} customers",
    ]
    if found.unknown:
        lines.append(f"  unknown    {found.unknown:>6,}  silences that a silo could not prove")
    lines += [_foretold(each) for each in found.foresight]
    if not found.actions:
        return "\n".join([*lines, "  No action listens to it."])
    lines.append(
        f"  permitted  {found.permitted:>6,}  |{sparkline(found.permitted_per_day)}|"
        f"  {found.customers_reached:,} customers"
    )
    lines += [f"  suppressed {count:>6,}  {reason}" for reason, count in found.suppressed.items()]
    lines += [f"  overlaps   {count:>6,}  {action} on the same day" for action, count in found.overlaps.items()]
    lines += [
        f"  load       {load['total']:>6,.0f}  to {name}, {load['mean_per_day']:g} a day, at most"
        f" {load['most_in_a_day']:.0f}"
        for name, load in found.load.items()
    ]
    return "\n".join(lines)


def _foretold(found: Foresight) -> str:
    def percent(share: Share) -> str:
        if share.value is None or share.low is None or share.high is None:
            return "unknown"
        return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"

    lift, lead = found.lift, found.lead_days
    times = "unknown" if lift.value is None else f"{lift.value:.2f}"
    if lift.value is not None and lift.low is not None and lift.high is not None:
        times += f" ({lift.low:.2f} to {lift.high:.2f})"
    early = "" if lead is None else f"; {lead[1]:.0f} days before (half within {lead[0]:.0f} to {lead[2]:.0f})"
    return (
        f"  {found.outcome:<10} within {found.horizon_days} days of {percent(found.precision)} of {found.precision.n:,}"
        f" firings, at any time {percent(found.at_any_time)}: lift {times}; it came before {percent(found.recall)}"
        f" of {found.recall.n:,}{early}"
    )


def draw(found: Backtest) -> str:
    """The picture: fired per day as grey bars, permitted per day as blue ones in front, and the reasons below."""
    width, height, left, top = 900, 220, 50, 50
    days = max(len(found.fired_per_day), 1)
    most = max([*found.fired_per_day, *found.permitted_per_day, 1])
    slot = (width - left - 20) / days

    def bars(counts: Sequence[int], colour: str) -> list[str]:
        return [
            f'<rect x="{left + day * slot:.1f}" y="{top + height * (1 - count / most):.1f}"'
            f' width="{max(slot * 0.8, 0.5):.1f}" height="{height * count / most:.1f}" fill="{colour}"/>'
            for day, count in enumerate(counts)
            if count
        ]

    def text(x: float, y: float, words: str, size: int = 13, anchor: str = "start") -> str:
        return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}">{escape(words)}</text>'

    reasons = [("permitted", found.permitted, "#2b6cb0"), *((r, n, "#a0aec0") for r, n in found.suppressed.items())]
    total = max([number for _, number, _ in reasons] + [1])
    base = top + height
    parts = [
        text(left, 24, f"{found.name}: {found.fired:,} fired, {found.permitted:,} permitted", 17),
        text(left - 6, top + 10, f"{most:,}", 11, "end"),
        text(left - 6, base, "0", 11, "end"),
        f'<line x1="{left}" y1="{base}" x2="{width - 20}" y2="{base}" stroke="#4a5568"/>',
        text(left, base + 18, found.first_day, 11),
        text(width - 20, base + 18, found.last_day, 11, "end"),
        *bars(found.fired_per_day, "#cbd5e0"),
        *bars(found.permitted_per_day, "#2b6cb0"),
    ]
    for row, (reason, number, colour) in enumerate(reasons):
        y = base + 50 + row * 22
        parts += [
            text(left + 180, y, reason or "suppressed", 13, "end"),
            f'<rect x="{left + 190}" y="{y - 12}" width="{560 * number / total:.1f}" height="15" fill="{colour}"/>',
            text(left + 196 + 560 * number / total, y, f"{number:,}", 12),
        ]
    full = base + 60 + len(reasons) * 22
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {full}" font-family="sans-serif">'
        f'<rect width="{width}" height="{full}" fill="white"/>{"".join(parts)}</svg>\n'
    )

"""States and the ways between them as a picture: one column of states, so that it can be read on a phone.

Ways to the next state go straight, further ones along lanes: down on the right, up on the left, short ones inside long
ones. Where a way leaves and enters a state is chosen so that ways of the same state do not cross there. The same states
and ways give the same picture; colours are the page's own custom properties.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from dashboard.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH, BOX, HEIGHT, GAP = 348, 142, 44, 30  # CSS pixels
TOP, EDGE = 26, 14
FIRST_LANE, LANE = 14, 17
HEAD, LINE = 7, 13  # length of an arrow's head, height of a number
LEFT, RIGHT = (WIDTH - BOX) / 2, (WIDTH + BOX) / 2
FONT = "Inter, system-ui, 'Segoe UI', sans-serif"


@dataclass(frozen=True, slots=True)
class State:
    """A box: its name, a line below it, a number, and what a screen reader says of it."""

    name: str
    below: str
    customers: int
    said: str
    is_danger: bool = False
    is_initial: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """An arrow between two states, by their places in the column, and how often it was gone."""

    start: int
    end: int
    moves: int
    said: str

    @property
    def is_straight(self) -> bool:
        """Whether it leads to a neighbour."""
        return abs(self.end - self.start) == 1

    @property
    def rows(self) -> tuple[int, int]:
        """The upper and the lower end."""
        return min(self.start, self.end), max(self.start, self.end)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A way as a path with its head, and where its number may stand: at x, best in the middle."""

    path: str
    head: str
    x: float
    middle: float
    lowest: float
    highest: float


def drawn(states: Sequence[State], ways: Sequence[Way], title: str) -> str:
    """The picture as SVG; `title` is what a screen reader calls it."""
    most = max((way.moves for way in ways), default=0)
    down = _lanes(way for way in ways if way.end > way.start and not way.is_straight)
    up = _lanes(way for way in ways if way.end < way.start and not way.is_straight)
    lanes, ports = {**down, **up}, {**_ports(down, is_down=True), **_ports(up, is_down=False)}
    apart = min(LANE, (LEFT - FIRST_LANE - EDGE) / max(max(lanes.values(), default=0), 1))
    labels: list[tuple[float, float, float]] = []
    arrows, numbers = [], []
    # the most gone first: it is read out first, has its number where it belongs, and lies below the thinner ones
    for way in sorted(ways, key=lambda way: (-way.moves, way.start, way.end)):
        colour = "var(--loss-1)" if states[way.end].is_danger else "var(--accent)"
        found = _straight(way) if way.is_straight else _along(way, FIRST_LANE + apart * lanes[way], ports)
        strength = 1 + 3.5 * math.sqrt(way.moves / most) if way.moves else 1
        line = f'stroke="{colour}" stroke-width="{strength:.1f}"' + ("" if way.moves else ' stroke-dasharray="2 4"')
        arrows.append(
            f'<g role="graphics-symbol" aria-roledescription="way" aria-label="{escape(way.said)}">'
            f'<path d="{found.path}" fill="none" stroke="transparent" stroke-width="12"/>'
            f'<path d="{found.path}" fill="none" {line}/><path d="{found.head}" fill="{colour}"/></g>'
        )
        if way.moves:
            text = count(way.moves)
            y = _free(found, len(text), labels)
            numbers.append(
                f'<text x="{found.x:.1f}" y="{y + 4:.1f}" font-size="11.5" text-anchor="middle" fill="var(--ink)"'
                f' stroke="var(--panel)" stroke-width="4" paint-order="stroke" aria-hidden="true">{text}</text>'
            )
    height = TOP + len(states) * (HEIGHT + GAP) - GAP + EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 {WIDTH} {height}" role="group"'
        f' aria-label="{escape(title)}" style="--natural: {WIDTH}px" font-family="{escape(FONT)}">'
        f"{''.join(arrows)}{''.join(_box(row, state) for row, state in enumerate(states))}{''.join(numbers)}</svg>"
    )


def _box(row: int, state: State) -> str:
    y = _top(row)
    border = 'stroke="var(--loss-1)"' if state.is_danger else 'stroke="var(--rule-strong)"'
    begin = (
        f'<circle cx="{WIDTH / 2}" cy="{y - 18}" r="4" fill="var(--soft)"/>'
        f'<path d="M{WIDTH / 2} {y - 14}V{y}" stroke="var(--soft)"/>'
        if state.is_initial
        else ""
    )
    return (
        f'<g role="graphics-symbol" aria-roledescription="state" aria-label="{escape(state.said)}">{begin}'
        f'<rect x="{LEFT}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="6" fill="var(--paper)" {border}/>'
        f'<g aria-hidden="true"><text x="{LEFT + 10}" y="{y + 19}" font-size="13" font-weight="600" fill="var(--ink)">'
        f"{escape(state.name)}</text>"
        f'<text x="{LEFT + 10}" y="{y + 35}" font-size="11.5" fill="var(--soft)">{escape(state.below)}</text>'
        f'<text x="{RIGHT - 10}" y="{y + 35}" font-size="13" text-anchor="end" fill="var(--ink)">'
        f"{count(state.customers)}</text></g></g>"
    )


def _top(row: int) -> float:
    return TOP + row * (HEIGHT + GAP)


def _lanes(ways: Iterable[Way]) -> dict[Way, int]:
    """A lane for each way of one side, counted from the states: short ways inside, no two on the same stretch."""
    taken: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    lanes = {}
    for way in sorted(ways, key=lambda way: (way.rows[1] - way.rows[0], way.rows)):
        upper, lower = way.rows
        lane = 0
        while any(upper < other[1] and other[0] < lower for other in taken[lane]):
            lane += 1
        taken[lane].append(way.rows)
        lanes[way] = lane
    return lanes


def _ports(lanes: dict[Way, int], *, is_down: bool) -> dict[tuple[Way, int], float]:
    """Where each way of one side touches the states it joins, as y.

    Seen in the direction of travel, what arrives is met before what leaves; it arrives from the inner lanes first and
    leaves for the outer lanes first. So no two ways of a state cross beside it.
    """
    touching: defaultdict[int, list[tuple[int, int, Way]]] = defaultdict(list)
    for way, lane in lanes.items():
        touching[way.end].append((0, lane, way))
        touching[way.start].append((1, -lane, way))
    ports = {}
    for row, ends in touching.items():
        step = (HEIGHT - 12) / len(ends)
        for place, (_, _, way) in enumerate(sorted(ends, key=lambda end: end[:2])):
            ahead = 6 + step * (place + 0.5)
            ports[way, row] = _top(row) + (ahead if is_down else HEIGHT - ahead)
    return ports


def _straight(way: Way) -> _Drawn:
    """Between neighbours: down on the right of the middle, up on the left of it."""
    side = 1 if way.end > way.start else -1
    x = WIDTH / 2 + 14 * side
    begin, end = (_top(way.start) + HEIGHT, _top(way.end)) if side > 0 else (_top(way.start), _top(way.end) + HEIGHT)
    tip = end - HEAD * side
    head = f"M{x} {end}L{x - 4} {tip}H{x + 4}Z"
    middle = (begin + end) / 2
    return _Drawn(f"M{x} {begin}V{tip}", head, x + 16 * side, middle, middle, middle)


def _along(way: Way, lane: float, ports: dict[tuple[Way, int], float]) -> _Drawn:
    """Out to a lane, along it, and back."""
    side = 1 if way.end > way.start else -1
    box = RIGHT if side > 0 else LEFT
    x, begin, end = box + lane * side, ports[way, way.start], ports[way, way.end]
    turn = min(7.0, abs(end - begin) / 2)
    path = (
        f"M{box} {begin:.1f}H{x - turn * side:.1f}q{turn * side:.1f} 0 {turn * side:.1f} {turn * side:.1f}"
        f"V{end - turn * side:.1f}q0 {turn * side:.1f} {-turn * side:.1f} {turn * side:.1f}H{box + HEAD * side}"
    )
    head = f"M{box} {end:.1f}L{box + HEAD * side} {end - 4:.1f}V{end + 4:.1f}Z"
    middle, reach = (begin + end) / 2, max(abs(end - begin) / 2 - 14, 0)
    return _Drawn(path, head, x, middle, middle - reach, middle + reach)


def _free(drawn: _Drawn, letters: int, labels: list[tuple[float, float, float]]) -> float:
    """The y nearest to the middle of a way at which its number lies over no other; noted in `labels`."""
    half = letters * 3.4 + 2
    steps = int((drawn.highest - drawn.lowest) // 4)
    tried = sorted((drawn.lowest + 4 * step for step in range(steps + 1)), key=lambda y: (abs(y - drawn.middle), y))

    def overlaps(y: float) -> bool:
        return any(abs(drawn.x - x) < half + other and abs(y - at) < LINE for x, at, other in labels)

    y = next((y for y in tried if not overlaps(y)), drawn.middle)
    labels.append((drawn.x, y, half))
    return y

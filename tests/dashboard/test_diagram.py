from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import diagram, machine
from dashboard.diagram import BOX, GAP, HEIGHT, LINE, WIDTH, State, Way

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def machines(draw: st.DrawFn) -> tuple[list[State], list[Way]]:
    size = draw(st.integers(2, 12))
    ends = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
    pairs = draw(st.lists(ends, unique=True, max_size=24))
    ways = [
        Way(start, end, draw(st.integers(0, 3000)), f"way {place}") for place, (start, end) in enumerate(sorted(pairs))
    ]
    return [State(f"state {row}", "team", row, f"said of {row}") for row in range(size)], ways


@settings(max_examples=40, deadline=None)
@given(machines())
def test_every_way_leaves_its_state_and_arrives_at_the_other_and_none_lies_on_another(
    drawn: tuple[list[State], list[Way]],
) -> None:
    states, ways = drawn
    picture = _read(diagram.drawn(states, ways, "a machine"))
    stretches = []
    for way in ways:
        xs, ys = _path(picture, way.said)
        assert _row(ys[0]) == way.start
        assert _row(ys[-1]) == way.end
        stretches.append((xs, min(ys), max(ys)))
        assert all(0 < x < WIDTH for x in xs)
    for (one, begin, end), (other, first, last) in combinations(stretches, 2):
        if begin < last and first < end:
            assert one != other
    assert diagram.drawn(states, list(reversed(ways)), "a machine") == diagram.drawn(states, ways, "a machine")


@settings(max_examples=40, deadline=None)
@given(machines())
def test_what_is_drawn_is_also_said_and_every_number_is_there_once(drawn: tuple[list[State], list[Way]]) -> None:
    states, ways = drawn
    picture = _read(diagram.drawn(states, ways, "a machine"))
    said = {mark.get("aria-label") for mark in picture.iter() if mark.get("role") == "graphics-symbol"}
    assert said == {state.said for state in states} | {way.said for way in ways}
    numbers = [text for text in picture.iter(f"{SVG}text") if text.get("paint-order")]
    assert sorted(text.text or "" for text in numbers) == sorted(f"{way.moves:,}" for way in ways if way.moves)


def test_numbers_of_the_shipped_machine_do_not_lie_over_each_other() -> None:
    """Twelve states with as many ways as the page draws: neighbours, long ways inside each other, and back again."""
    pairs = [(row, row + 1) for row in range(11)] + [(0, 3), (3, 6), (3, 5), (4, 6), (6, 8), (6, 9), (6, 10), (6, 11)]
    pairs += [(5, 7), (3, 1), (6, 3), (6, 4), (6, 5), (8, 3), (8, 5), (7, 5), (9, 3), (10, 6), (11, 4)]
    ways = [Way(start, end, 7 * place + 1, f"way {place}") for place, (start, end) in enumerate(pairs)]
    picture = _read(diagram.drawn([State(str(row), "", row, str(row)) for row in range(12)], ways, "a machine"))
    numbers = [text for text in picture.iter(f"{SVG}text") if text.get("paint-order")]
    places = [(float(text.get("x", 0)), float(text.get("y", 0)), len(text.text or "")) for text in numbers]
    for (x, y, letters), (other_x, other_y, other) in combinations(places, 2):
        assert abs(x - other_x) > 3 * (letters + other) or abs(y - other_y) >= LINE - 0.1


def test_names_are_text_and_nothing_else() -> None:
    hostile = "<script>&\"'"
    picture = diagram.drawn([State(hostile, hostile, 1, hostile)], [], hostile)
    assert "<script" not in picture
    assert hostile in [text.text for text in _read(picture).iter(f"{SVG}text")]


def test_of_derived_ways_the_commonest_are_drawn_and_one_into_and_out_of_each_state() -> None:
    moved = {("a", "b"): 90, ("b", "a"): 50, ("a", "c"): 3, ("b", "c"): 2, ("c", "b"): 1, ("c", "a"): 0}
    ways = [
        {"from_state": start, "to_state": end, "moves": moves, "because": None} for (start, end), moves in moved.items()
    ]
    drawn = machine._worth_drawing(ways)
    assert [(row["from_state"], row["to_state"]) for row in drawn] == [("a", "b"), ("b", "a"), ("a", "c"), ("c", "b")]


def _read(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own


def _path(picture: ET.Element, said: str) -> tuple[list[float], list[float]]:
    """The x of a way's lane, and the y of its ends."""
    mark = next(mark for mark in picture.iter(f"{SVG}g") if mark.get("aria-label") == said)
    path = mark.find(f"{SVG}path")
    assert path is not None
    found = re.fullmatch(
        r"M([\d.]+) ([\d.]+)(?:H([\d.]+)q(\S+) \S+ \S+ \S+)?V([\d.]+)(?:q\S+ \S+ \S+ (\S+)H\S+)?", path.get("d", "")
    )
    assert found is not None, path.get("d")
    x, begin, out, turn, end, last = (float(group or 0) for group in found.groups())
    return [round(out + turn if out else x, 1)], [begin, end + last]


def _row(y: float) -> int:
    return int((y - diagram.TOP + GAP / 2) // (HEIGHT + GAP))


def test_a_box_holds_the_longest_name_of_the_playbook() -> None:
    assert len("payment trouble") * 7.6 < BOX - 10

"""What is desired against what was delivered: the same answers however much is looked at together, in little memory."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from hashlib import md5
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from activation import compared, desired, turns
from activation.actions import Action
from activation.desired import Published
from activation.errors import DesiredError
from activation.plan import Verdict
from activation.sync import said

if TYPE_CHECKING:
    from pathlib import Path

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
DESKS = ("desk", "hook", "mill")  # the second is told everything once, and welcome to nothing fresh
COLUMNS = (
    "action_id varchar, destination varchar, object varchar, action varchar, customer_id varchar,"
    " occurrence_id varchar, occurred_at timestamp, expires_at timestamp, priority integer, payload varchar"
)


def digest(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def row(number: int, **changes: Any) -> dict[str, Any]:
    """One desired action; neighbours differ in everything that counts and is counted by."""
    return {
        "action_id": digest(str(number)),
        "destination": DESKS[number % 3],
        "object": "events",
        "action": f"greet {number % 2}",
        "customer_id": f"c_{number}",
        "occurrence_id": f"o_{number}",
        "occurred_at": AS_OF - timedelta(hours=number * 7 % 11),
        "expires_at": AS_OF + timedelta(hours=number % 13 - 1) if number % 4 == 0 else None,
        "priority": number % 5 * 10,
        "payload": f'{{"n": {number}}}',
        **changes,
    }


def publish(folder: Path, **tables: list[dict[str, Any]]) -> Published:
    path = folder / "lifecycle.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema activation")
        for name, rows in tables.items():
            connection.execute(f"create table activation.act_{name} ({COLUMNS})")
            if rows:
                given = pa.Table.from_pylist(rows)
                connection.execute(f"insert into activation.act_{name} by name from given").fetchall()
                del given
    return Published(path)


urgency = attrgetter("priority", "occurred_at", "action_id")


SIZES = [
    pytest.param({}, id="as it is"),
    pytest.param({"AT_ONCE": 7, "CHUNK": 3, "LOOKED_UP": 4, "GROUPED_AT_ONCE": 9, "PARSED": 1}, id="little at a time"),
    pytest.param({"AT_ONCE": 8, "CHUNK": 2, "SORTED": 0}, id="as it lies"),
]


@pytest.mark.parametrize("sizes", SIZES)
def test_the_answers_are_the_same_however_much_is_looked_at_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int]
) -> None:
    for name, size in sizes.items():
        for module in (compared, turns):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, size)
    wanted = [row(number) for number in range(100)]
    site = publish(tmp_path, first=wanted[:61], second=wanted[61:], third=[])
    before = {
        each["action_id"]: digest(each["payload"] if number % 2 else "another")
        for number, each in enumerate(wanted)
        if number * 7 % 10 < 6
    }
    lines = [f"{text}\t{key}" for key, text in before.items()]
    changed, fresh = [], []
    for each in wanted:
        delivered = before.get(each["action_id"])
        is_late = each["expires_at"] is not None and each["expires_at"] <= AS_OF
        if delivered is None and each["destination"] != "hook" and not is_late:
            fresh.append(each)
        elif delivered is None or (each["destination"] != "hook" and delivered != digest(each["payload"])):
            changed.append(each)
    ids = {each["action_id"] for each in fresh}
    known, fresh = fresh[::4], [each for number, each in enumerate(fresh) if number % 4]

    with site.compared(["\n".join(lines[:20]), "\n".join(lines[20:])], ["hook"], ["desk", "mill"], AS_OF) as found:
        assert {each for chunk in found.fresh_ids() for each in chunk} == ids
        found.are_known([each["action_id"] for each in known])
        counts = {(where, what): (number, digits % 2**64) for where, what, number, digits in found.counts()}
        unchanged = found.unchanged()
        others = [each for chunk in found.others() for each in chunk]
        read = {desk: [each for chunk in found.fresh(desk, ["greet 1"]) for each in chunk] for desk in DESKS}

    def told(these: list[dict[str, Any]]) -> int:
        return sum(said(each["action_id"], Verdict.NEW, digest(each["payload"])) for each in these) % 2**64

    by_kind = {
        (desk, what): [each for each in fresh if (each["destination"], each["action"]) == (desk, what)]
        for desk in DESKS
        for what in ("greet 0", "greet 1")
    }
    assert counts == {kind: (len(these), told(these)) for kind, these in by_kind.items() if these}
    left = Counter((each["destination"], each["action"]) for each in wanted)
    left.subtract((each["destination"], each["action"]) for each in [*fresh, *known, *changed])
    assert unchanged == +left
    for desk in DESKS:
        agree(read[desk], by_kind[desk, "greet 0"], is_sorted="SORTED" not in sizes)
    agree(others, [*known, *changed], is_sorted="SORTED" not in sizes)


def agree(read: list[Action], wanted: list[dict[str, Any]], *, is_sorted: bool) -> None:
    """Whether these are what is wanted, in the order of their urgency; or at least of their priorities."""
    asked = [Action(**each, digest=digest(each["payload"])) for each in wanted]
    assert sorted(read, key=urgency) == sorted(asked, key=urgency)
    assert read == sorted(read, key=urgency if is_sorted else attrgetter("priority"))


def test_an_id_that_is_there_twice_is_named_also_across_tables(tmp_path: Path) -> None:
    site = publish(tmp_path, first=[row(1), row(2)], second=[row(3), row(2, payload='{"n": 22}')])
    with (
        site.compared([], (), DESKS, AS_OF) as found,
        pytest.raises(ValueError, match=f"{row(2)['action_id']} is desired"),
    ):
        found.look_for_twins()


def test_times_are_read_to_the_microsecond_and_what_no_time_of_ours_is_is_refused(tmp_path: Path) -> None:
    earliest, last = datetime.fromisoformat("0001-01-01T00:00:00"), datetime.fromisoformat("9999-12-31T23:59:59.999999")
    occurred = [AS_OF + timedelta(microseconds=1), earliest, AS_OF]
    expires = [None, last, AS_OF + timedelta(days=1)]
    site = publish(
        tmp_path,
        first=[
            row(number, destination="desk", occurred_at=at, expires_at=until)
            for number, (at, until) in enumerate(zip(occurred, expires, strict=True))
        ],
    )
    with site.compared([], (), DESKS, AS_OF) as found:
        read = {(each.occurred_at, each.expires_at) for chunk in found.fresh("desk") for each in chunk}
    assert read == set(zip(occurred, expires, strict=True))

    with duckdb.connect(str(site.path)) as connection:
        connection.execute("update activation.act_first set expires_at = 'infinity' where expires_at is null")
    with site.compared([], (), DESKS, AS_OF) as found:
        ((endless,),) = found.others()
    assert (endless.occurred_at, endless.expires_at) == (occurred[0], last)

    with duckdb.connect(str(site.path)) as connection:
        connection.execute("update activation.act_first set occurred_at = timestamp '12026-11-01' where priority > 0")
    with site.compared([], (), DESKS, AS_OF) as found, pytest.raises(DesiredError, match=r"12026-11-01 .* 1 to 9999"):
        list(found.others())


@pytest.mark.parametrize("payload", ["no json", "[1]", '"text"', "null", "", None])
def test_what_cannot_be_sent_is_named_before_anything_is(tmp_path: Path, payload: str | None) -> None:
    site = publish(tmp_path, first=[row(1), row(2, payload=payload), row(3)])
    with (
        pytest.raises(
            DesiredError, match=rf"activation\.act_first: the payload of action {row(2)['action_id']} is not"
        ),
        site.compared([], (), DESKS, AS_OF),
    ):
        pass


def test_no_payload_is_held_or_spilled_however_many_there_are_to_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 MB are read, with memory for less than that."""
    path, number = tmp_path / "lifecycle.duckdb", 12_000
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema activation")
        connection.execute(
            "create table activation.act_all as select md5(range::varchar) as action_id, 'desk' as destination,"
            " 'events' as object, 'greet' as action, 'c' as customer_id, 'o' as occurrence_id,"
            " timestamp '2026-11-01' as occurred_at, null::timestamp as expires_at, 1 as priority,"
            " '{\"text\": \"' || (select string_agg(md5(range || ' ' || part), '') from range(40) as t(part)) || '\"}'"
            f" as payload from range({number})"
        )
    monkeypatch.setattr(desired, "MEMORY_LIMIT", "40MB")
    monkeypatch.setattr(compared, "WHILE_SENDING", "12MB")
    monkeypatch.setattr(turns, "SORTED", 0)
    monkeypatch.setattr(turns, "CHUNK", 500)
    spilled: list[int] = []
    read: set[str] = set()
    with Published(path).compared([], (), ["desk"], AS_OF) as found:
        for chunk in found.fresh("desk"):
            assert len(chunk) <= 2 * turns.CHUNK
            read.update(action.action_id for action in chunk)
            files = found._connection.execute("select coalesce(sum(size), 0) from duckdb_temporary_files()").fetchall()
            spilled.append(files[0][0])
    assert len(read) == number
    assert set(spilled) == {0}

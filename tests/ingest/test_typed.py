from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from harness import naive
from hypothesis import given
from hypothesis import strategies as st

from ingest.arrow import arrow_schema
from ingest.contracts import TableContract
from ingest.quarantine import Quarantine
from ingest.typed import TypedTable
from ingest.values import column_name

CONTRACT = TableContract(
    source="test",
    dataset="raw_test",
    name="things",
    columns={
        "id": "bigint",
        "name": "text",
        "amount": "double",
        "active": "bool",
        "updated_at": "timestamp",
        "day": "date",
        "extra": "json",
    },
    primary_key="id",
    latest_by="updated_at",
)


DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]


def table(keep: str = "first") -> tuple[TypedTable, Quarantine]:
    quarantine = Quarantine("test")
    return TypedTable(CONTRACT, quarantine, keep=keep), quarantine


def reasons(quarantine: Quarantine) -> list[str]:
    return [item.reason for item in quarantine.rejected]


def test_values_arrive_as_what_their_column_says() -> None:
    things, quarantine = table()
    things.add(
        [
            {
                "id": "7",
                "name": 12,
                "amount": "1.5",
                "active": True,
                "updatedAt": "2026-11-01T09:00:00+03:00",
                "day": "2026-10-31",
                "extra": {"a": [1, None]},
            }
        ],
        "page 1",
    )
    assert things.drain().to_pylist() == [
        {
            "id": 7,
            "name": "12",
            "amount": 1.5,
            "active": True,
            "updated_at": naive(2026, 11, 1, 6),
            "day": dt.date(2026, 10, 31),
            "extra": '{"a":[1,null]}',
        }
    ]
    assert quarantine.rejected == []


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("id", "seven", "id is 'seven', not a whole number of 64 bits."),
        ("id", 2**63, "id is 9223372036854775808, not a whole number of 64 bits."),
        ("id", True, "id is True, not a whole number of 64 bits."),
        ("name", {"first": "A"}, "name is an object, not a text."),
        ("name", False, "name is False, not a text."),
        ("amount", "1,50", "amount is '1,50', not a number."),
        ("amount", float("nan"), "amount is nan, not a number."),
        ("amount", 10**400, f"amount is 1{'0' * 59}, not a number."),
        ("extra", {"a": ["b\ud800"]}, "extra holds a text that is not valid Unicode."),
        ("extra", DEEP, "extra is nested too deeply."),
        ("newField", ["b\udcff"], "newField holds a text that is not valid Unicode."),
        ("Name", "another", "Name is there twice, in two spellings."),
        ("active", "yes", "active is 'yes', neither true nor false."),
        ("updated_at", "yesterday", "updated_at is 'yesterday', not an ISO 8601 time."),
        (
            "updated_at",
            "2026-11-01T09:00:00",
            "updated_at is '2026-11-01T09:00:00', a time without its offset from UTC.",
        ),
        ("updated_at", 1_760_000_000, "updated_at is 1760000000, not an ISO 8601 time."),
        ("day", "31.10.2026", "day is '31.10.2026', not a date of the form YYYY-MM-DD."),
    ],
)
def test_a_value_of_another_type_sets_its_record_aside_and_says_which(field: str, value: Any, reason: str) -> None:
    things, quarantine = table()
    things.add([{"id": 1, **({"name": "one"} if field == "Name" else {}), field: value}, {"id": 2}], "page 1")
    assert reasons(quarantine) == [reason]
    assert things.drain().column("id").to_pylist() == [2]
    assert (things.extracted, things.loaded, things.quarantined) == (2, 1, 1)


@pytest.mark.parametrize("record", [{"name": "no id"}, {"id": None}, {"id": ""}, ["a list"], None, "text"])
def test_a_record_without_its_key_or_no_record_at_all_is_set_aside(record: Any) -> None:
    things, quarantine = table()
    things.add([record], "page 1")
    assert things.drain().num_rows == 0
    assert len(quarantine.rejected) == things.extracted == things.quarantined == 1


def test_text_that_utf8_cannot_carry_sets_only_its_record_aside() -> None:
    things, quarantine = table()
    things.add([{"id": 1, "name": "a\ud800"}, {"id": 2, "name": "fine"}], "page 1")
    assert things.drain().column("id").to_pylist() == [2]
    assert reasons(quarantine) == ["A text is not valid Unicode."]
    assert things.loaded == 1


def test_fields_the_contract_does_not_know_become_text_whatever_their_type() -> None:
    things, _ = table()
    things.add([{"id": 1, "newField": 5}, {"id": 2, "newField": {"a": 1}}, {"id": 3, "newField": "x"}], "page 1")
    assert things.drain().column("new_field").to_pylist() == ["5", '{"a":1}', "x"]


def test_of_a_repeated_key_a_list_keeps_the_first_and_a_feed_keeps_the_last() -> None:
    versions = [{"id": 1, "name": "first"}, {"id": 2, "name": "other"}, {"id": 1, "name": "last"}]
    for keep, expected in (("first", "first"), ("last", "last")):
        things, _ = table(keep)
        things.add(versions, "page 1")
        assert things.drain().column("name").to_pylist() == [expected, "other"]
        assert (things.extracted, things.loaded, things.deduplicated) == (3, 2, 1)


def test_a_key_that_repeats_after_its_rows_were_given_out_is_still_a_repeat() -> None:
    first, _ = table("first")
    last, _ = table("last")
    for things, rows in ((first, 0), (last, 1)):
        things.add([{"id": 1, "name": "old"}], "page 1")
        things.drain()
        things.add([{"id": 1, "name": "new"}], "page 2")
        assert things.drain().num_rows == rows
        assert (things.extracted, things.loaded, things.deduplicated) == (2, 1, 1)


def test_a_feed_without_a_column_that_tells_versions_apart_is_refused() -> None:
    contract = TableContract("test", "raw_test", "things", {"id": "bigint"}, primary_key="id")
    with pytest.raises(ValueError, match="latest_by"):
        TypedTable(contract, Quarantine("test"), keep="last")


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("ufCrmAccountId", "uf_crm_account_id"),
        ("ENTITY_ID", "entity_id"),
        ("utmSource", "utm_source"),
        ("created_at", "created_at"),
        ("HTTPStatus", "http_status"),
        ("id", "id"),
        ("\u0438\u043c\u044f", "field_f08ca02a"),
    ],
)
def test_column_names_are_snake_case(field: str, column: str) -> None:
    assert column_name(field) == column


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.lists(
    st.dictionaries(st.sampled_from([*CONTRACT.columns, "other"]), JUNK | st.integers(0, 3), max_size=6) | JUNK,
    max_size=12,
)


@given(RECORDS)
def test_whatever_comes_every_record_is_in_exactly_one_place(records: list[Any]) -> None:
    things, quarantine = table()
    things.add(records, "page 1")
    given_out = things.drain().num_rows
    assert things.extracted == len(records)
    assert given_out == things.loaded
    assert len(quarantine.rejected) == things.quarantined
    assert things.extracted == things.loaded + things.quarantined + things.deduplicated


@given(RECORDS)
def test_setting_the_same_records_aside_twice_gives_the_same_ids(records: list[Any]) -> None:
    ids = []
    for _ in range(2):
        things, quarantine = table()
        things.add(records, "page 1")
        things.drain()
        ids.append([item.quarantine_id for item in quarantine.rejected])
        assert len(set(ids[-1])) == len(ids[-1])
    assert ids[0] == ids[1]


def columnar(**columns: pa.Array) -> pa.Table:
    return pa.table(columns)


def test_a_columnar_table_of_the_right_types_passes_untouched() -> None:
    things, _ = table()
    given_table = arrow_schema(CONTRACT).empty_table()
    assert things.take_arrow(given_table, "file").schema == arrow_schema(CONTRACT)


def test_in_a_columnar_table_only_rows_that_do_not_survive_the_cast_are_set_aside() -> None:
    things, quarantine = table()
    taken = things.take_arrow(
        columnar(
            id=pa.array(["1", "x", "3"]),
            name=pa.array(["a", "b", None]),
            amount=pa.array([1, 2, 3]),
            extra=pa.array([{"k": 1}, None, {"k": 3}]),
            added=pa.array([10, 20, 30]),
        ),
        "file",
    )
    assert taken.select(["id", "name", "amount", "extra", "added"]).to_pylist() == [
        {"id": 1, "name": "a", "amount": 1.0, "extra": '{"k":1}', "added": "10"},
        {"id": 3, "name": None, "amount": 3.0, "extra": '{"k":3}', "added": "30"},
    ]
    assert reasons(quarantine) == ["id is x, not of type bigint."]
    assert '"id":"x"' in quarantine.rejected[0].payload
    assert (things.extracted, things.loaded) == (3, 2)


def test_times_with_a_zone_in_a_columnar_table_become_utc() -> None:
    things, _ = table()
    at = pa.array([dt.datetime(2026, 11, 1, 6, tzinfo=dt.UTC)], pa.timestamp("ms", tz="Europe/Berlin"))
    taken = things.take_arrow(columnar(id=pa.array([1]), updated_at=at), "file")
    assert taken.column("updated_at").to_pylist() == [naive(2026, 11, 1, 6)]


def test_times_that_no_timestamp_can_hold_are_set_aside() -> None:
    things, quarantine = table()
    at = pa.array([2**62, 1_760_000_000], pa.timestamp("s"))
    taken = things.take_arrow(columnar(id=pa.array([1, 2]), updated_at=at), "file")
    assert taken.column("id").to_pylist() == [2]
    assert len(quarantine.rejected) == 1

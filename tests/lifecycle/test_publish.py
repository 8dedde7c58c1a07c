from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import duckdb
import pytest

from lifecycle.publication import publish
from lifecycle.settings import Places

READER = """
import json, sys, duckdb
from pathlib import Path

link, parquet = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
reads, errors, sizes = 0, [], []
for line in sys.stdin:
    if line.strip() == "stop":
        break
    try:
        with duckdb.connect(str(link.resolve()), read_only=True) as connection:
            rows, total = connection.execute("select count(*), count(mrr) from marts.customer_lifecycle").fetchone()
        flat = duckdb.sql(f"select count(*) from '{parquet}'").fetchall()[0][0]
    except Exception as error:
        errors.append(repr(error))
    else:
        reads += 1
        sizes.append(rows)
        if rows != total:
            errors.append("torn")
    print("read", flush=True)
print(json.dumps({"reads": reads, "errors": errors, "sizes": sizes}), flush=True)
"""


@pytest.fixture
def make_version(places: Places, fill: Any, progress: Any) -> Any:
    """Fills the warehouse and publishes it under a name."""

    def go(version: Any, customers: Any = 200) -> Any:
        fill(customers=customers)
        with duckdb.connect(str(places.warehouse)) as connection:
            return publish.publish(connection, "warehouse", places, version, progress)

    return go


def count(path: Any) -> Any:
    with duckdb.connect(str(path.resolve()), read_only=True) as connection:
        return connection.execute("select count(*) from marts.customer_lifecycle").fetchone()[0]


def test_the_stable_names_lead_to_the_version_and_one_link_is_flipped(places: Places, make_version: Any) -> None:
    make_version("20261101T060000Z-aaaa")
    assert publish.current_version(places) == "20261101T060000Z-aaaa"
    assert str(places.published_file.readlink()) == "current/lifecycle.duckdb"
    assert count(places.published_file) == 200
    before = {path: path.lstat().st_ino for path in places.published.iterdir() if path.is_symlink()}
    make_version("20261102T060000Z-bbbb", customers=300)
    after = {path: path.lstat().st_ino for path in places.published.iterdir() if path.is_symlink()}
    assert [path.name for path in after if after[path] != before[path]] == ["current"]
    assert count(places.published_file) == 300
    parquet = places.published / "customer_lifecycle.parquet"
    assert duckdb.sql(f"select count(*) from '{parquet}'").fetchall() == [(300,)]


def test_the_file_is_for_duckdb_1_clients_and_has_nothing_beside_it(make_version: Any) -> None:
    directory = make_version("v1")
    with (directory / publish.FILE_NAME).open("rb") as file:
        header = file.read(20)
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == 64
    assert not [path.name for path in directory.iterdir() if "wal" in path.name]


def test_views_become_tables_and_descriptions_come_along(places: Places, make_version: Any) -> None:
    make_version("v1")
    with duckdb.connect(str(places.published_file.resolve()), read_only=True) as connection:
        assert connection.execute("select count(*) from duckdb_views() where not internal").fetchone() == (0,)
        assert connection.execute(
            "select comment from duckdb_tables() where table_name = 'customer_lifecycle'"
        ).fetchone() == ("One row per customer; it's the one.",)
        assert connection.execute("select comment from duckdb_columns() where column_name = 'mrr'").fetchone() == (
            "USD a month.",
        )
        schemas = connection.execute("select distinct table_schema from information_schema.tables order by 1")
        assert schemas.fetchall() == [("activation",), ("marts",)]


def test_a_reader_in_a_loop_sees_every_flip_whole_and_no_error(places: Places, make_version: Any) -> None:
    make_version("v00", customers=1000)
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            READER,
            str(places.published_file),
            str(places.published / "customer_lifecycle.parquet"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    for number in range(1, 5):
        reader.stdin.write("go\n" * 15)
        reader.stdin.flush()
        make_version(f"v{number:02}", customers=1000 + number)
        publish.prune(places, 3)
        # however busy the machine: what was asked of it while a version was published is read before the next one
        assert [reader.stdout.readline() for _ in range(15)] == ["read\n"] * 15
    reader.stdin.write("go\n" * 5 + "stop\n")
    reader.stdin.flush()
    found = json.loads(next(line for line in reader.stdout if line.startswith("{")))
    reader.wait()
    assert found["errors"] == []
    assert found["sizes"] == sorted(found["sizes"])
    assert found["sizes"][-1] == 1004
    assert found["reads"] == 65


def test_a_reader_that_holds_an_old_version_keeps_reading_it(places: Places, make_version: Any) -> None:
    make_version("v0", customers=150)
    with duckdb.connect(str(places.published_file.resolve()), read_only=True) as holder:
        for number in range(1, 3):
            make_version(f"v{number}")
            publish.prune(places, 1)
        assert holder.execute("select count(*), sum(mrr) from marts.customer_lifecycle").fetchone()[0] == 150
    assert [path.name for path in (places.published / "versions").iterdir()] == ["v2"]


def test_pruning_keeps_the_newest_and_always_what_serves(places: Places, make_version: Any) -> None:
    for number in range(4):
        make_version(f"v{number}")
    publish._point(places.published / "current", publish.Path("versions") / "v0")
    assert publish.prune(places, 2) == ["v1"]
    assert publish.current_version(places) == "v0"


def test_what_a_killed_run_left_half_built_is_swept_away(places: Places, make_version: Any) -> None:
    make_version("v1")
    half = places.published / "versions" / f"{publish.BUILDING}v2"
    half.mkdir()
    (half / publish.FILE_NAME).write_bytes(b"half a file")
    assert publish.prune(places, 3) == [half.name]
    assert publish.current_version(places) == "v1"


def test_a_candidate_that_is_not_the_warehouse_is_not_published(
    places: Places, make_version: Any, fill: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version("v1")
    fill(customers=201)
    monkeypatch.setattr(
        publish,
        "_copy_comments",
        lambda connection, _database: connection.execute(
            "delete from candidate.marts.customer_lifecycle where customer_id = 'c_7'"
        ),
    )
    with (
        duckdb.connect(str(places.warehouse)) as connection,
        pytest.raises(publish.PublishError, match="rows differ"),
    ):
        publish.publish(connection, "warehouse", places, "v2", progress)
    assert publish.current_version(places) == "v1"
    assert count(places.published_file) == 200


def test_an_empty_warehouse_has_nothing_to_publish(places: Places, progress: Any) -> None:
    with (
        duckdb.connect(str(places.warehouse)) as connection,
        pytest.raises(publish.PublishError, match="nothing to publish"),
    ):
        publish.publish(connection, "warehouse", places, "v1", progress)


def test_equal_numbers_have_equal_digests_whatever_the_order_and_the_log(places: Places, fill: Any) -> Any:
    def digest() -> Any:
        with duckdb.connect(str(places.warehouse)) as connection:
            return publish.content_digest(publish.measure(connection, "warehouse"))

    fill()
    first = digest()
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute(
            "create or replace table marts.customer_lifecycle as from marts.customer_lifecycle order by mrr desc"
        )
        connection.execute("insert into raw_ops.publications (run_id, _dlt_load_id) values ('x', 'x')")
    assert digest() == first
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute("update marts.customer_lifecycle set mrr = mrr + 0.01 where customer_id = 'c_3'")
    assert digest() != first


def test_a_mart_that_is_no_more_loses_its_name(places: Places, make_version: Any, progress: Any) -> None:
    make_version("v1")
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute("drop table marts.action_decisions")
        publish.publish(connection, "warehouse", places, "v2", progress)
    assert not (places.published / "action_decisions.parquet").is_symlink()
    assert (places.published / "customer_lifecycle.parquet").exists()

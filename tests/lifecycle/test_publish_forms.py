"""What a version consists of: three kinds of files that agree, and files that name nobody."""

from __future__ import annotations

import datetime as dt
import re
import stat
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks import publication
from lifecycle import settings
from lifecycle.errors import ConfigurationError
from lifecycle.publication import catalogue, forms, hyper, publish
from lifecycle.settings import Places

MARTS = """
create schema if not exists marts;
create or replace table marts.revenue as
    select
        'c_' || range as customer_id,
        'ada' || range || '@example.com' as address,
        cast(case when range % 7 = 0 then null else range * 1.37 end as decimal(18, 2)) as mrr,
        cast(-range as bigint) as delta,
        cast(range % 5 as integer) as band,
        timestamp '2026-11-01 06:00:00' + to_hours(cast(range as integer)) as seen_at,
        date '2026-11-01' as day,
        range % 2 = 0 as is_even
    from range({rows});
create or replace table marts.nothing as select 1 as number where false;
create or replace table marts.published_columns as
    select *, 'mrr' as definition_id, 'Finance' as owner, 'varchar' as data_type from (values
        ('marts', 'revenue', 'address', 1, 'personal', 'Where <to> write to.', 'text'),
        ('marts', 'revenue', 'customer_id', 2, 'pseudonym', 'The customer.', 'text'),
        ('marts', 'revenue', 'mrr', 3, 'none', 'Each month.', 'USD a month')
    ) as listed (schema_name, table_name, column_name, column_position, pii_class, description, unit);
create or replace table marts.metric_definitions as
    select 'mrr' as definition_id, 'Revenue' as name, 'What is agreed.' as text, true as is_current;
comment on table marts.revenue is 'One row per customer.';
comment on column marts.revenue.address is 'Where to write to.';
"""
AS_OF = dt.datetime(2026, 11, 1, 6)  # noqa: DTZ001 - naive UTC, as everywhere
needs_engine = pytest.mark.skipif(not hyper.is_installed(), reason="Tableau's engine is not installed")


@pytest.fixture
def build(places: Places, progress: Any) -> Any:
    """Publishes a small warehouse in a form; the directory of the version."""

    def go(version: str = "v1", rows: int = 1000, **form: Any) -> Any:
        with duckdb.connect(str(places.warehouse)) as connection:
            connection.execute(MARTS.format(rows=rows))
            if form.pop("is_apart", False):
                form["personal"] = catalogue.personal_columns(connection, "warehouse")
            return publish.publish(connection, "warehouse", places, version, progress, publish.Form(**form))

    return go


@needs_engine
def test_the_three_kinds_of_files_agree_each_read_by_its_own_reader(places: Places, build: Any) -> None:
    build(has_extract=True)
    extract = hyper.fingerprints((places.published / "lifecycle.hyper").resolve())
    with duckdb.connect(str(places.published_file.resolve()), read_only=True) as connection:
        file = hyper.expected(connection, places.published_file.resolve().stem)
    flat = {}
    for mart, (_, sums) in file.items():
        table = pq.read_table(places.published / f"{mart}.parquet")
        totals = {name: pc.sum(table[name]).as_py() or 0 for name in sums}
        flat[mart] = (table.num_rows, {name: hyper._plain(str(total)) for name, total in totals.items()})
    assert extract == file == flat
    assert file["revenue"][0] == 1000
    assert Decimal(file["revenue"][1]["mrr"]) > 500_000
    assert set(file["revenue"][1]) == {"mrr", "delta", "band"}


@needs_engine
def test_an_extract_that_differs_is_not_published(places: Places, build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    build(has_extract=True)
    read_back = hyper._read_back

    def one_short(*arguments: Any) -> Any:
        found = read_back(*arguments)
        rows, sums = found["revenue"]
        return {**found, "revenue": (rows - 1, sums)}

    monkeypatch.setattr(hyper, "_read_back", one_short)
    with pytest.raises(publish.PublishError, match="differs from the DuckDB file in revenue"):
        build("v2", has_extract=True)
    assert publish.current_version(places) == "v1"


@needs_engine
def test_an_engine_that_fails_costs_the_extract_and_not_the_version(
    places: Places, build: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(has_extract=True)
    monkeypatch.setattr(hyper, "ENGINE_SETTINGS", {**hyper.ENGINE_SETTINGS, "no_such_setting": "1"})
    directory = build("v2", has_extract=True)
    assert publish.current_version(places) == "v2"
    assert not (directory / hyper.FILE_NAME).exists()
    assert not (places.published / hyper.FILE_NAME).is_symlink(), "a stale extract must not keep its name"
    assert any("could not be made" in note for note in progress.notes)


def test_kept_apart_the_published_files_name_nobody_and_one_restricted_file_has_it_all(
    places: Places, build: Any
) -> None:
    directory = build(is_apart=True, has_extract=hyper.is_installed())
    shared = sorted(path for path in directory.iterdir() if path.name != publish.RESTRICTED_NAME)
    assert not [path.name for path in shared if b"@example.com" in path.read_bytes() and path.suffix != ".duckdb"]
    with duckdb.connect(str(places.published_file.resolve()), read_only=True) as connection:
        names = {name for (name,) in connection.execute("select column_name from duckdb_columns()").fetchall()}
        assert "address" not in names
        assert {"customer_id", "mrr"} <= names
    assert "address" not in pq.read_schema(places.published / "revenue.parquet").names
    assert stat.S_IMODE((directory / publish.RESTRICTED_NAME).stat().st_mode) == 0o600
    assert places.complete_file.resolve() == directory / publish.RESTRICTED_NAME
    with duckdb.connect(str(places.complete_file.resolve()), read_only=True) as connection:
        assert connection.execute("select count(address), count(*) from marts.revenue").fetchone() == (1000, 1000)
        homes = connection.execute(
            "select distinct table_schema from information_schema.tables join information_schema.columns"
            " using (table_schema, table_name) where column_name = 'address' and table_type = 'BASE TABLE'"
        ).fetchall()
        assert homes == [("pii",)], "columns that name a person live in one schema"


def test_the_catalogue_page_says_what_every_column_is_and_asks_nobody_else(places: Places, build: Any) -> None:
    build()
    page = (places.published / catalogue.PAGE_NAME).read_text(encoding="utf-8")
    for said in ("Where &lt;to&gt; write to.", "USD a month", "Revenue", "What is agreed.", "personal", "Finance"):
        assert said in page
    loaded = re.search(r"(src|url)\s*[=(]|href\s*=\s*(?!'#)|https?://|@import|fetch\(", page)
    assert not loaded, "nothing is loaded from anywhere"
    assert "default-src 'none'" in page
    assert page.count("<table>") == page.count("<caption") == page.count("<section")
    assert set(re.findall("href='#([^']+)'", page)) <= set(re.findall("id='([^']+)'", page))


def test_a_version_in_one_piece_again_loses_the_restricted_file(places: Places, build: Any) -> None:
    build(is_apart=True)
    build("v2")
    assert places.complete_file == places.published_file
    assert not (places.published / publish.RESTRICTED_NAME).is_symlink()


def test_without_a_catalogue_nothing_is_kept_apart_by_guessing(
    places: Places, fill: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill()
    monkeypatch.setenv(settings.PERSONAL_DATA.variable, "apart")
    with (
        duckdb.connect(str(places.warehouse)) as connection,
        pytest.raises(publish.PublishError, match="does not say what that is"),
    ):
        forms.of_build(connection, "warehouse", progress)


def test_an_extract_can_be_insisted_on_or_done_without(
    places: Places, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyper, "is_installed", lambda: False)
    with duckdb.connect(str(places.warehouse)) as connection:
        assert not forms.of_build(connection, "warehouse", progress).has_extract
        assert "no Tableau extract" in progress.notes[-1]
        monkeypatch.setenv(settings.TABLEAU_EXTRACT.variable, "true")
        with pytest.raises(ConfigurationError, match="tableauhyperapi is not installed"):
            forms.of_build(connection, "warehouse", progress)
        monkeypatch.setattr(hyper, "is_installed", lambda: True)
        monkeypatch.setenv(settings.TABLEAU_EXTRACT.variable, "false")
        assert not forms.of_build(connection, "warehouse", progress).has_extract


def test_a_run_may_be_published_twice(places: Places, fill: Any, progress: Any) -> None:
    names = []
    for customers in (200, 201):
        fill(customers=customers)
        names.append(publish.version_name(AS_OF, "run-x-1a2b3c4d", places))
        with duckdb.connect(str(places.warehouse)) as connection:
            publish.publish(connection, "warehouse", places, names[-1], progress)
    assert names == ["20261101T060000Z-1a2b3c4d", "20261101T060000Z-1a2b3c4d-2"]
    assert publish.current_version(places) == names[1]


def test_readers_under_load_see_whole_versions_in_order_and_no_error(places: Places) -> None:
    figures = publication.under_load(places, readers=2, publications=3, rows=2000)
    assert [figure.name for figure in figures if not figure.holds] == []

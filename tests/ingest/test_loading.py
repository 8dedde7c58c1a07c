"""What dlt makes of what was read: a first run of every source with one silo down, and a second run after changes.

Both runs are made once for all tests of this file. The other tests of this folder take a shorter way into the warehouse
(`Reader`); that it ends in the same tables is proved here.
"""

from __future__ import annotations

import datetime as dt
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import duckdb
import ledgers
import pytest
import silos
from harness import NOW, Ingest, Reader, conserved, contents_of, set_up
from silos import NOW_UNIX

from ingest import contracts, extract, pipeline
from ingest.outcomes import SourceResult
from sandbox import serve
from sandbox.store import Store

TODAY = silos.NOW.date()
YESTERDAY = TODAY - dt.timedelta(days=1)
DOWN = "zendesk"


@dataclass(frozen=True)
class Loaded:
    """Two runs over the same silos: after the first, after the second, and the second as the short way has it."""

    first: Ingest
    first_results: list[SourceResult]
    said: list[tuple[str, str]]
    second: Ingest
    second_results: dict[str, SourceResult]
    read: Reader
    read_results: dict[str, SourceResult]


@pytest.fixture(scope="module")
def loaded(running: serve.RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("loaded")
    data_dir, read, first = folder / "data", Reader(folder / "read"), Ingest(folder / "first")
    bucket, store = data_dir / "bucket", running.world.store
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch, folder, running.url)
        silos.empty(store)
        silos.fill(store)
        for back in range(1, 6):
            day = TODAY - dt.timedelta(days=back)
            silos.write_events(bucket / "events", day, silos.event_rows(day, 40))
            silos.write_spend(bucket / "spend", day, [silos.spend_line(day)])
        silos.put(store, "customerio.customers", [silos.person(n, unsubscribed=True) for n in range(100, 130)])
        ledger = ledgers.create(data_dir)
        ledgers.deliver(ledger, "a1", NOW - dt.timedelta(hours=1))
        ledgers.deliver(ledger, "a2", NOW, state="sending")
        read.data_dir.mkdir()
        (read.data_dir / "ledger.sqlite").symlink_to(data_dir / "ledger.sqlite")

        patch.setenv("SOURCES__ZENDESK__BASE_URL", "http://127.0.0.1:9/zendesk")
        said: list[tuple[str, str]] = []
        first_results = extract.run(
            SimpleNamespace(data_dir=data_dir),
            run_id="r1",
            as_of=NOW.replace(tzinfo=dt.UTC),
            progress=lambda *line: said.append(line),
        )
        shutil.copytree(data_dir, first.data_dir)
        patch.setenv("SOURCES__ZENDESK__BASE_URL", f"{running.url}/zendesk")
        for source in extract.SOURCES:
            if source != DOWN:
                read(source)

        change(store, bucket)
        ledgers.deliver(ledger, "a2", NOW)
        second = Ingest(data_dir)
        second_results = {source: second(source) for source in extract.SOURCES}
        read_results = {source: read(source) for source in extract.SOURCES}
        read.close()
        ledger.close()
    return Loaded(first, first_results, said, second, second_results, read, read_results)


def change(store: Store, bucket: Path) -> None:
    """Rows that are replaced, rows that go, rows that are new, a column that nobody knew."""
    renamed = silos.customer(1, NOW_UNIX - 90 * silos.DAY, name="Renamed", favouriteColour="red")
    told = [
        silos.stripe_event(900, NOW_UNIX - 60, "customer.updated", {**renamed, "name": "Renamed once"}),
        silos.stripe_event(901, NOW_UNIX - 30, "customer.updated", renamed),
        silos.stripe_event(902, NOW_UNIX - 20, "invoice.created", silos.invoice(777, NOW_UNIX - 20)),
    ]
    silos.put(store, "stripe.events", told, created="created")
    store.delete("bitrix24.deals", "2")
    silos.put(store, "bitrix24.deals", [silos.deal(3, NOW_UNIX - 30, stageId="WON")], updated="updatedTime")
    silos.put(store, "customerio.customers", [silos.person(110, unsubscribed=False)])
    silos.write_events(bucket / "events", YESTERDAY, silos.event_rows(YESTERDAY, 30))
    silos.write_spend(bucket / "spend", YESTERDAY, [silos.spend_line(YESTERDAY, amount="1")] * 2)
    filed = bucket / "reports" / f"filed_on={TODAY}"
    filed.mkdir(parents=True)
    line = f"{YESTERDAY},day,payments,,100.00,usd,finance-analyst,"
    header = "period,grain,metric,customer,value,currency,prepared_by,note"
    (filed / "billing.csv").write_text(f"{header}\n{line}\n", encoding="utf-8")


def test_a_run_loads_every_source_that_answers_and_writes_down_how_each_one_ended(loaded: Loaded) -> None:
    results = loaded.first_results
    assert [result.source for result in results] == list(extract.SOURCES)
    assert [result.source for result in results if not result.ok] == [DOWN]
    assert all(conserved(result) for result in results)
    first = loaded.first
    assert first.rows("select run_id, as_of from raw_ops.runs") == [("r1", NOW)]
    assert first.rows("select source, status from raw_ops.extracts order by 1") == [
        (source, "failed" if source == DOWN else "succeeded") for source in sorted(extract.SOURCES)
    ]
    assert first.rows("select distinct as_of from raw_ops.extracts") == [NOW]
    through = dict(first.rows("select source, data_through_at from raw_ops.extracts"))
    midnight = dt.datetime.combine(TODAY, dt.time.min)
    # nobody has filed a report
    apart = {"product": midnight, "spend": midnight, "reports": None, DOWN: None}
    assert through == {**dict.fromkeys(extract.SOURCES, NOW), **apart}
    unequal = "rows_extracted <> rows_loaded + rows_quarantined + rows_deduplicated"
    assert first.count(f"raw_ops.extract_tables where {unequal}") == 0
    assert {source for source, _ in loaded.said} == set(extract.SOURCES)
    assert first.count("raw_product.events") == 200
    assert first.count("raw_stripe.customers") == 5


def test_a_silo_that_is_down_loses_only_itself_and_the_next_run_recovers(loaded: Loaded) -> None:
    (down,) = (result for result in loaded.first_results if result.source == DOWN)
    assert "Zendesk cannot be reached" in str(down.error)
    assert not down.is_misconfigured
    assert loaded.first.count("raw_zendesk.tickets") == 0
    assert loaded.second_results[DOWN].ok
    assert loaded.second.count("raw_zendesk.tickets") == 5


def test_a_second_run_replaces_by_key_by_day_and_as_a_whole_and_takes_away_what_is_gone(loaded: Loaded) -> None:
    assert all(result.ok and conserved(result) for result in loaded.second_results.values())
    rows = loaded.second.rows
    assert rows("select name, favourite_colour from raw_stripe.customers order by id")[1:3] == [
        ("Renamed", "red"),
        ("Company 2", None),
    ]
    assert rows("select id, stage_id from raw_bitrix24.deals order by id") == [
        (1, "NEW"), (3, "WON"), (4, "NEW"), (5, "NEW"),
    ]  # fmt: skip
    assert rows("select count(*), count(*) filter (id = 'usr_110') from raw_customerio.unsubscribed") == [(30, 0)]
    days = "select count(*) from raw_product.events group by received_date order by received_date"
    assert rows(days) == [40, 40, 40, 40, 30]
    assert rows("select amount from raw_spend.ad_spend order by spend_date, line_number")[-3:] == ["120.50", "1", "1"]
    assert rows("select action_id, state from raw_receipts.deliveries order by 1") == [
        ("a1", "acknowledged"),
        ("a2", "acknowledged"),
    ]


def test_the_short_way_of_the_other_tests_ends_in_the_same_tables(loaded: Loaded) -> None:
    assert contents_of(loaded.second.data_dir) == contents_of(loaded.read.data_dir)
    for source, result in loaded.second_results.items():
        assert loaded.read_results[source].tables == result.tables, source


def test_loaded_tables_have_the_types_of_their_contracts(loaded: Loaded) -> None:
    found: dict[tuple[str, str], dict[str, str]] = {}
    columns = "select schema_name, table_name, column_name, data_type from duckdb_columns() where not internal"
    for schema, table, column, kind in loaded.second.rows(columns):
        found.setdefault((schema, table), {})[column] = kind
    for source in extract.SOURCES:
        for name, table in contracts.load(source).items():
            expected = {column: contracts.DUCKDB_TYPES[kind].upper() for column, kind in table.columns.items()}
            types = found[table.dataset, name]
            assert {column: types[column] for column in table.columns} == expected, name
            assert {types[column] for column in types.keys() - table.columns.keys()} == {"VARCHAR"}, name


def test_no_row_stays_beside_its_table_and_nobody_else_may_look_where_rows_passed(loaded: Loaded) -> None:
    staged = "select schema_name || '.' || table_name from duckdb_tables() where schema_name like '%_staging'"
    tables = [name for name in loaded.second.rows(staged) if "._dlt" not in name]
    assert {"raw_stripe_staging.customers", "raw_product_staging.events"} <= set(tables)
    assert [name for name in tables if loaded.second.count(name)] == []
    working = loaded.second.data_dir / "dlt"
    assert [path.name for path in working.rglob("*")] == ["writer.lock"]
    assert stat.S_IMODE(working.stat().st_mode) == 0o700
    assert pipeline.DLT_SETTINGS["RUNTIME__DLTHUB_TELEMETRY"] == "false"


def test_a_table_that_was_emptied_or_dropped_or_lost_with_its_file_is_read_again_from_the_beginning(
    load: Ingest, data_dir: Path
) -> None:
    path = silos.write_spend(data_dir / "bucket" / "spend", YESTERDAY, [])
    path.write_text(f"{silos.SPEND_HEADER},region\n{silos.spend_line(YESTERDAY)},EU\n", encoding="utf-8")
    assert load("spend").ok
    for harm in ("delete from raw_spend.ad_spend", "drop table raw_spend.ad_spend"):
        load.change(harm)
        assert load("spend").ok, harm
        assert load.rows("select amount, region from raw_spend.ad_spend") == [("120.50", "EU")], harm
        assert (
            load.said.pop() == "ad_spend was loaded before and is empty now, so the source is read from the beginning"
        )
    Path(load.warehouse).unlink()
    assert load("spend").ok
    assert load.rows("select amount, region from raw_spend.ad_spend") == [("120.50", "EU")]


def test_one_emptied_table_makes_all_tables_of_its_source_be_read_again(load: Ingest, data_dir: Path) -> None:
    with ledgers.create(data_dir) as ledger:
        ledgers.deliver(ledger, "a1", NOW - dt.timedelta(hours=1))
        ledgers.deliver(ledger, "a2", NOW)
    load("receipts")
    load.change("delete from raw_receipts.attempts")
    again = load("receipts")
    assert {table.table_name: table.rows_loaded for table in again.tables} == {"deliveries": 2, "attempts": 2}
    assert load.count("raw_receipts.attempts") == 2


def test_rows_that_do_not_arrive_are_noticed(load: Ingest, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silos.write_spend(data_dir / "bucket" / "spend", YESTERDAY, [silos.spend_line(YESTERDAY)] * 5)
    honest = pipeline._require_arrival

    def lossy(connection: duckdb.DuckDBPyConnection, *arguments: object) -> None:
        connection.execute("delete from raw_spend.ad_spend where line_number = 3")
        honest(connection, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "_require_arrival", lossy)
    assert load("spend").error == "spend.ad_spend: 5 rows were sent and 4 arrived; the next run reads them again."


def test_setting_the_same_record_aside_in_two_runs_keeps_the_first_note(ingest: Ingest, data_dir: Path) -> None:
    path = silos.write_spend(data_dir / "bucket" / "spend", YESTERDAY, [silos.spend_line(YESTERDAY), "half,a,line"])
    for _ in range(2):
        assert ingest("spend").rows_quarantined == 1
        path.touch()
    assert ingest.rows("select run_id, reason from raw_ops.quarantine") == [
        ("run1", "The line has 3 fields where the header has 9.")
    ]


def test_a_run_whose_outcome_cannot_be_written_down_has_failed(
    ingest: Ingest, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silos.write_spend(data_dir / "bucket" / "spend", YESTERDAY, [silos.spend_line(YESTERDAY)])

    def full(*_: object) -> None:
        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(pipeline, "record", full)
    result = ingest("spend")
    assert (result.ok, result.rows_loaded) == (False, 0)
    assert result.error == ("The outcome of spend could not be written down: IOException: No space left on device")

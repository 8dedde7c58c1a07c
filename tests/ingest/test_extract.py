from __future__ import annotations

import datetime as dt
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
import silos
from harness import NOW, Ingest, Vendors, conserved

from ingest import configuration, contracts, extract, ops, pipeline, tables
from ingest.errors import ConfigurationError
from sandbox.store import Store

DAY = silos.NOW.date()


@pytest.fixture
def files(data_dir: Path) -> None:
    for back in range(1, 6):
        day = DAY - dt.timedelta(days=back)
        silos.write_events(data_dir / "bucket" / "events", day, silos.event_rows(day, 40))
        silos.write_spend(data_dir / "bucket" / "spend", day, [silos.spend_line(day)])


def contents(data_dir: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every raw table without the marks of its load, and without what a run says about itself."""
    found = {}
    with duckdb.connect(str(data_dir / "warehouse.duckdb"), read_only=True) as connection:
        for source in extract.SOURCES:
            for name, table in contracts.load(source).items():
                columns = ", ".join(f'"{column}"::varchar' for column in table.columns)
                rows = connection.execute(f'select {columns} from {table.dataset}."{name}" order by all').fetchall()
                found[f"{source}.{name}"] = rows
        found["quarantine"] = connection.execute(
            "select source, table_name, record_key, reason, payload from raw_ops.quarantine order by all"
        ).fetchall()
    return found


@pytest.mark.usefixtures("files")
@pytest.mark.usefixtures("vendors")
def test_a_run_loads_every_source_and_writes_down_how_each_one_ended(
    ingest: Ingest, store: Store, data_dir: Path
) -> None:
    said: list[tuple[str, str]] = []
    settings = SimpleNamespace(data_dir=data_dir)
    results = extract.run(
        settings, run_id="r1", as_of=NOW.replace(tzinfo=dt.UTC), progress=lambda *line: said.append(line)
    )
    assert [result.source for result in results] == list(extract.SOURCES)
    assert all(result.ok and conserved(result) for result in results), [result.error for result in results]
    assert ingest.rows("select run_id, as_of from raw_ops.runs") == [("r1", NOW)]
    assert ingest.rows("select distinct status, as_of from raw_ops.extracts") == [("succeeded", NOW)]
    through = dict(ingest.rows("select source, data_through_at from raw_ops.extracts"))
    midnight = dt.datetime.combine(DAY, dt.time.min)
    of_files = {"product": midnight, "spend": midnight, "reports": None}  # nobody has filed a report
    assert through == {**dict.fromkeys(extract.SOURCES, NOW), **of_files}
    unequal = "rows_extracted <> rows_loaded + rows_quarantined + rows_deduplicated"
    assert ingest.count(f"raw_ops.extract_tables where {unequal}") == 0
    assert {source for source, _ in said} == set(extract.SOURCES)
    assert ingest.count("raw_product.events") == 200
    assert ingest.count("raw_stripe.customers") == store.count("stripe.customers")


@pytest.mark.usefixtures("files")
@pytest.mark.usefixtures("vendors")
def test_one_silo_down_loses_only_itself_and_the_next_run_recovers(
    ingest: Ingest, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SimpleNamespace(data_dir=data_dir)
    good = os.environ["SOURCES__ZENDESK__BASE_URL"]
    monkeypatch.setenv("SOURCES__ZENDESK__BASE_URL", "http://127.0.0.1:9/zendesk")
    chosen = ["zendesk", "stripe", "product"]
    results = {result.source: result for result in extract.run(settings, run_id="r1", as_of=NOW, sources=chosen)}
    assert [results[name].status for name in chosen] == ["failed", "ok", "ok"]
    assert "Zendesk cannot be reached" in str(results["zendesk"].error)
    assert not results["zendesk"].is_misconfigured
    assert ingest.rows("select source, status, data_through_at is null from raw_ops.extracts order by 1") == [
        ("product", "succeeded", False),
        ("stripe", "succeeded", False),
        ("zendesk", "failed", True),
    ]
    assert ingest.count("raw_zendesk.tickets") == 0
    monkeypatch.setenv("SOURCES__ZENDESK__BASE_URL", good)
    (recovered,) = extract.run(settings, run_id="r2", as_of=NOW, sources=["zendesk"])
    assert recovered.ok
    assert ingest.count("raw_zendesk.tickets") == 5


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "SOURCES__STRIPE__API_KEY",
            "",
            "A setting is missing: give api_key under [sources.stripe] in .dlt/secrets.toml",
        ),
        ("SOURCES__ZENDESK__EMAIL", "", "A setting is missing: give email under [sources.zendesk] in .dlt/config.toml"),
        ("SOURCES__STRIPE__BASE_URL", "stripe.com", "A setting is no address that starts with http:// or https://"),
        ("SOURCES__STRIPE__BASE_URL", "http://api.stripe.com", "A setting is plain http to another machine"),
        ("SOURCES__BITRIX24__WEBHOOK_URL", "http://127.0.0.1.evil.example/x", "A setting is plain http to another"),
        ("SOURCES__STRIPE__REQUESTS_PER_SECOND", "fast", "A setting is no number: correct requests_per_second"),
        ("SOURCES__ZENDESK__EXPORTS_PER_MINUTE", "0", "A setting must be at least 1: correct exports_per_minute"),
        ("INGEST__SMALLEST_SHARE", "7", "A setting is no share between 0 and 1"),
    ],
)
def test_a_missing_or_wrong_setting_stops_before_anything_is_read(
    vendors: Vendors, data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as wrong:
        extract.run(SimpleNamespace(data_dir=data_dir), run_id="r1", as_of=NOW)
    assert str(wrong.value).startswith(sentence)
    assert name in str(wrong.value)
    assert vendors.requests() == {}
    assert not (data_dir / "warehouse.duckdb").exists()


def test_an_unknown_source_is_refused_by_name(data_dir: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no source salesforce; known are stripe"):
        extract.run(SimpleNamespace(data_dir=data_dir), run_id="r1", as_of=NOW, sources=["salesforce"])
    with pytest.raises(ConfigurationError, match="salesforce"):
        configuration.resolve("salesforce")


@pytest.mark.usefixtures("vendors")
def test_no_row_stays_in_the_working_directory_and_nobody_else_may_look_into_it(ingest: Ingest, data_dir: Path) -> None:
    ingest("stripe")
    working = data_dir / "dlt"
    assert [path.name for path in working.rglob("*")] == ["writer.lock"]
    assert stat.S_IMODE(working.stat().st_mode) == 0o700
    assert pipeline.DLT_SETTINGS["RUNTIME__DLTHUB_TELEMETRY"] == "false"


@pytest.mark.usefixtures("vendors")
def test_the_staging_copy_of_the_rows_is_emptied(ingest: Ingest) -> None:
    ingest("stripe")
    assert ingest.count("raw_stripe_staging.customers") == 0


@pytest.mark.usefixtures("vendors")
def test_a_table_that_was_emptied_is_read_again_from_the_beginning(ingest: Ingest, store: Store) -> None:
    ingest("stripe")
    ingest.change("delete from raw_stripe.invoices")
    ingest("stripe")
    assert ingest.count("raw_stripe.invoices") == store.count("stripe.invoices")
    assert any("is empty now" in sentence for sentence in ingest.said)


@pytest.mark.usefixtures("vendors")
def test_a_table_that_was_dropped_is_read_again_from_the_beginning(ingest: Ingest, store: Store) -> None:
    ingest("stripe")
    ingest.change("drop table raw_stripe.invoices")
    assert ingest("stripe").ok
    assert ingest.count("raw_stripe.invoices") == store.count("stripe.invoices")


@pytest.mark.usefixtures("vendors")
def test_without_its_warehouse_a_source_is_read_from_the_beginning(
    ingest: Ingest, store: Store, data_dir: Path
) -> None:
    ingest("bitrix24")
    (data_dir / "warehouse.duckdb").unlink()
    assert ingest("bitrix24").ok
    assert ingest.count("raw_bitrix24.deals") == store.count("bitrix24.deals")


@pytest.mark.usefixtures("vendors")
def test_rows_that_do_not_arrive_are_noticed(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = pipeline._require_arrival

    def lossy(connection: duckdb.DuckDBPyConnection, *arguments: object) -> None:
        connection.execute("delete from raw_stripe.customers where id = 'cus_000001'")
        honest(connection, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "_require_arrival", lossy)
    assert ingest("stripe").error == (
        "stripe.customers: 5 rows were sent and 4 arrived; the next run reads them again."
    )


@pytest.mark.usefixtures("vendors")
def test_setting_the_same_record_aside_in_two_runs_keeps_the_first_note(ingest: Ingest, store: Store) -> None:
    silos.put(store, "bitrix24.deals", [silos.deal(90, silos.NOW_UNIX - 60, opportunity="much")], updated="updatedTime")
    for _ in range(2):
        assert ingest("bitrix24").rows_quarantined == 1
    assert ingest.rows("select run_id, reason from raw_ops.quarantine") == [
        ("run1", "opportunity is 'much', not a number.")
    ]


# What a killed run is: the same steps, cut off at a place that the parent chooses.
CHILD = textwrap.dedent(
    """
    import os, signal, sys
    from datetime import datetime
    from pathlib import Path
    from dlt.load.load import Load
    from ingest import extract, pipeline

    moment, data_dir = sys.argv[1], Path(sys.argv[2])
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)
    honest = {"start": Load.start_new_jobs, "complete": Load.complete_package}

    def start(self, *args, **kwargs):
        found = honest["start"](self, *args, **kwargs)
        if moment == "load":
            die()
        return found

    def complete(self, *args, **kwargs):
        if moment == "before_completion":
            die()
        return honest["complete"](self, *args, **kwargs)

    Load.start_new_jobs, Load.complete_package = start, complete
    if moment == "quarantined":
        noted = pipeline._record_quarantine
        pipeline._record_quarantine = lambda *args: (noted(*args), die())
    pipeline.apply_dlt_settings()
    as_of = datetime(2026, 11, 1, 6)
    extract.record_run(data_dir, "killed", as_of)
    for source in ("product", "stripe"):
        pipeline.run_source(source, run_id="killed", as_of=as_of, data_dir=data_dir, say=lambda _: None)
    """
)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("moment", ["quarantined", "load", "before_completion"])
@pytest.mark.usefixtures("vendors")
@pytest.mark.usefixtures("store")
def test_a_killed_run_followed_by_another_ends_like_an_undisturbed_one(
    ingest: Ingest, data_dir: Path, tmp_path: Path, moment: str
) -> None:
    bad = silos.write_events(data_dir / "bucket" / "events", DAY, silos.event_rows(DAY, 5))
    bad.write_bytes(b"no parquet")
    undisturbed = Ingest(tmp_path / "undisturbed")
    for source in ("product", "stripe"):
        assert undisturbed(source).ok
    killed = subprocess.run([sys.executable, "-c", CHILD, moment, str(data_dir)], check=False, cwd=tmp_path, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    for source in ("product", "stripe"):
        assert ingest(source).ok
    assert contents(data_dir) == contents(tmp_path / "undisturbed")


def test_a_caller_that_dies_takes_its_workers_along(vendors: Vendors, data_dir: Path, tmp_path: Path) -> None:
    vendors.misbehave(vendor="zendesk", kind="timeout", path="/api/v2/tickets")
    program = (
        "import pathlib, sys, types; from datetime import datetime; from ingest import extract;"
        "extract.run(types.SimpleNamespace(data_dir=pathlib.Path(sys.argv[1])), run_id='r',"
        " as_of=datetime(2026, 11, 1, 6), sources=['zendesk'], progress=lambda *line: print(*line, flush=True))"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", program, str(data_dir)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert caller.stdout is not None
    assert caller.stdout.readline().startswith("zendesk users")
    children = descendants(caller.pid)
    assert len(children) >= 2
    caller.kill()
    caller.wait()
    deadline = time.monotonic() + 10
    while any(alive(child) for child in children):
        assert time.monotonic() < deadline, "a worker outlived its caller"


def descendants(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry.name), *descendants(int(entry.name))]
    return found


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_notes_of_a_run_replace_notes_of_the_same_key_and_refuse_unknown_columns(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        tables.create_missing(connection)
        ops.record(connection, "runs", [{"run_id": "r1", "project_version": "1"}])
        ops.record(connection, "runs", [{"run_id": "r1", "project_version": "2"}, {"run_id": "r2"}])
        ops.record(connection, "runs", [{"run_id": "r1", "project_version": "3"}], keep_first=True)
        ops.record(connection, "runs", [])
        query = "select run_id, project_version from raw_ops.runs order by 1"
        assert connection.execute(query).fetchall() == [("r1", "2"), ("r2", None)]
        with pytest.raises(ValueError, match="no column colour"):
            ops.record(connection, "runs", [{"run_id": "r3", "colour": "red"}])


@pytest.mark.usefixtures("files")
def test_the_command_line_runs_a_source_and_says_so(data_dir: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ingest", "spend", "--as-of", "2026-11-01T06:00:00Z"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "LIFECYCLE__DATA_DIR": str(data_dir)},
    )
    assert ran.returncode == 0, ran.stderr
    assert "spend: 5 rows loaded" in ran.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "ingest", "stripe"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "LIFECYCLE__DATA_DIR": str(data_dir), "SOURCES__STRIPE__BASE_URL": "not an address"},
    )
    assert wrong.returncode == 2
    assert "base_url under [sources.stripe]" in wrong.stderr

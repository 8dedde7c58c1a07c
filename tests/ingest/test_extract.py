"""Asking for a run: settings that stop it, a caller that dies, the command line. What a run loads: test_loading.py."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import duckdb
import psutil
import pytest
import silos
from harness import NOW, Vendors

from ingest import configuration, extract, ops, tables
from ingest.errors import ConfigurationError

DAY = silos.NOW.date()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SOURCES__STRIPE__API_KEY", "", "The setting sources.stripe.api_key is empty"),
        ("SOURCES__STRIPE__API_KEY", "rk_live\n", "The setting sources.stripe.api_key has a line break"),
        ("SOURCES__ZENDESK__EMAIL", "ops", "The setting sources.zendesk.email 'ops' is no e-mail address"),
        ("SOURCES__STRIPE__BASE_URL", "stripe.com", "The setting sources.stripe.base_url 'stripe.com' is not an http"),
        ("SOURCES__STRIPE__BASE_URL", "https://[::1", "The setting sources.stripe.base_url 'https://[::1' is not an"),
        ("SOURCES__STRIPE__BASE_URL", "https://a:b/c", "The setting sources.stripe.base_url 'https://a:b/c' is not"),
        (
            "SOURCES__STRIPE__BASE_URL",
            "http://a.example",
            "The setting sources.stripe.base_url 'http://a.example' is pl",
        ),
        (
            "SOURCES__BITRIX24__WEBHOOK_URL",
            "http://127.0.0.1.a.example/x",
            "The setting sources.bitrix24.webhook_url is",
        ),
        (
            "SOURCES__STRIPE__REQUESTS_PER_SECOND",
            "1.5",
            "The setting sources.stripe.requests_per_second '1.5' is not a",
        ),
        (
            "SOURCES__ZENDESK__EXPORTS_PER_MINUTE",
            "0",
            "The setting sources.zendesk.exports_per_minute '0' is not a who",
        ),
        ("INGEST__SMALLEST_SHARE", "7", "The setting ingest.smallest_share '7' is not a number from 0 to 1"),
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


def test_a_worker_that_dies_before_it_hears_a_word_loses_each_source_by_name(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = subprocess.Popen(["false"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S607
    worker.wait()
    monkeypatch.setattr(extract, "_started", lambda: (worker, worker.stdin, worker.stdout))
    lost = extract.run(SimpleNamespace(data_dir=data_dir), run_id="r1", as_of=NOW, sources=["product", "spend"])
    assert [(result.source, result.status, result.error) for result in lost] == [
        (source, "failed", f"The process that extracted {source} ended without a result.")
        for source in ("product", "spend")
    ]


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
    # the resources are read side by side: whichever is whole first says so first
    assert caller.stdout.readline().startswith("zendesk ")
    children = [os.pidfd_open(child.pid) for child in psutil.Process(caller.pid).children(recursive=True)]
    assert len(children) >= 2
    caller.kill()
    caller.wait()
    caller.stdout.close()
    for child in children:
        # less than the two minutes and more after which a worker gives a silent silo up
        assert select.select([child], [], [], 60)[0], "a worker outlived its caller"
        os.close(child)


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


def test_the_command_line_runs_a_source_and_says_so(data_dir: Path, tmp_path: Path) -> None:
    silos.write_spend(data_dir / "bucket" / "spend", DAY, [silos.spend_line(DAY)] * 5)
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

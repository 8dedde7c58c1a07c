from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from activation.ledger import Ledger
from lifecycle import cli, last_run, settings
from lifecycle.doctor import command, machine, stores, vendors
from lifecycle.doctor.finding import FAIL, OK, WARN
from lifecycle.publication import publish
from lifecycle.settings import Places

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    said = SimpleNamespace(status=200, body=b'{"count": 1}', asked=[], ahead=7)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said.asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(said.status)
            self.end_headers()
            self.wfile.write(said.body)

        def date_time_string(self, _timestamp: float | None = None) -> str:
            return format_datetime(NOW + timedelta(seconds=said.ahead), usegmt=True)

        def log_message(self, *_args: Any) -> None:
            pass

    monkeypatch.setattr(vendors, "datetime", SimpleNamespace(now=lambda _zone: NOW))
    monkeypatch.setattr(vendors, "SECONDS", 60.0)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said.url = f"http://127.0.0.1:{server.server_port}"
    yield said
    server.shutdown()
    server.server_close()


def ask(vendor: Any) -> Any:
    call = vendors.Call("source", "stripe", f"{vendor.url}/v1/customers?limit=1", "sources.stripe.api_key", ("key", ""))
    return vendors._answer(call)


@pytest.mark.parametrize(
    ("status", "body", "state", "words"),
    [
        (200, b'{"data": []}', OK, "takes the key"),
        (200, b'{"error": "expired_token"}', FAIL, "expired_token"),
        (200, b"<html>", FAIL, "answers 200"),
        (401, b"{}", FAIL, "key was refused (401)"),
        (403, b"{}", FAIL, "key was refused (403)"),
        (404, b"{}", FAIL, "answers 404"),
        (302, b"", FAIL, "answers 302"),
        (429, b"{}", WARN, "too often"),
        (503, b"{}", WARN, "failure of its own (503)"),
    ],
)
def test_what_a_vendor_answers_is_said(vendor: Any, status: int, body: bytes, state: str, words: str) -> None:
    vendor.status, vendor.body = status, body
    finding, skew = ask(vendor)
    assert (finding.state, words in finding.text) == (state, True)
    assert skew == vendor.ahead
    assert vendor.asked == [("/v1/customers?limit=1", "Basic a2V5Og==")]


def test_a_vendor_that_does_not_answer_is_said_without_its_address() -> None:
    finding, skew = ask(SimpleNamespace(url="http://127.0.0.1:1/secretpath"))
    assert (finding.state, skew) == (FAIL, None)
    assert "secretpath" not in finding.text + finding.remedy
    assert "sources.stripe.api_key" in finding.remedy


def test_no_key_is_shown_to_a_destination_within_a_private_network() -> None:
    call = vendors.Call("destination", "zendesk", "https://10.0.0.1/api", "activation.zendesk.api_token", ("me", "key"))
    finding, _ = vendors._answer(call)
    assert finding.state == FAIL
    assert "private network" in finding.text


@pytest.mark.parametrize(("skew", "state"), [(2, OK), (-90, WARN), (4000, FAIL)])
def test_the_clock_is_judged_by_most_vendors(skew: float, state: str) -> None:
    finding = machine.clock_skew({"stripe": skew, "zendesk": skew + 1, "odd": 1e6})
    assert finding.state == state


def test_a_lock_is_read_with_its_markers() -> None:
    text = (
        "apprise==2.2.0 \\\n    --hash=sha256:ab\n"
        "colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:cd\n"
        "dlt[duckdb,parquet]==1.31.0 \\\n"
    )
    assert machine.locked(text) == {"apprise": "2.2.0", "dlt": "1.31.0"}


def test_another_version_than_the_locked_one_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("duckdb==0.0.1 \\\nnot-there-at-all==1.0 \\\n")
    finding = machine.versions(lock)[1]
    assert finding.state == WARN
    assert "(locked 0.0.1)" in finding.text
    assert "not-there-at-all missing (locked 1.0)" in finding.text


@pytest.mark.parametrize(("free", "state"), [(100e9, OK), (1e9, WARN), (10, FAIL)])
def test_room_is_measured_against_the_warehouse(
    places: Places, monkeypatch: pytest.MonkeyPatch, free: float, state: str
) -> None:
    places.warehouse.write_bytes(b"0" * 1000)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    assert machine.disk(places)[0].state == state


def states(findings: Any) -> list[str]:
    return [finding.state for finding in findings]


def test_an_empty_data_directory_is_no_fault(places: Places) -> None:
    assert states(stores.warehouse(places)) == [OK]
    assert states(stores.ledger(places)) == [OK]
    assert states(stores.published(places)) == [WARN]


def test_a_good_warehouse_and_version_pass(places: Places, fill: Any, progress: Any) -> None:
    fill()
    with duckdb.connect(str(places.warehouse)) as connection:
        publish.publish(connection, "warehouse", places, "20261101T060000Z-aaaa", progress)
    Ledger(places.ledger).close()
    last_run.note_end(places, "run-1", has_published=True)
    looked = [look(places) for look in (stores.warehouse, stores.published, stores.ledger, stores.runs)]
    assert [state for findings in looked for state in states(findings)] == [OK] * 4


def test_what_is_damaged_is_named_with_what_to_do(places: Places) -> None:
    places.warehouse.write_bytes(b"this is no database" * 100)
    places.ledger.write_bytes(b"nor is this" * 1000)
    (warehouse,), (ledger,) = stores.warehouse(places), stores.ledger(places)
    assert (warehouse.state, ledger.state) == (FAIL, FAIL)
    assert "Restore it" in warehouse.remedy
    assert "Deliver nothing" in ledger.remedy


def test_a_pointer_that_leads_nowhere_and_torn_files_are_said(places: Places, fill: Any, progress: Any) -> None:
    fill()
    versions = []
    for run_id in ("20261101T060000Z-aaaa", "20261101T060000Z-bbbb"):
        with duckdb.connect(str(places.warehouse)) as connection:
            versions.append(publish.publish(connection, "warehouse", places, run_id, progress).name)
    first, second = versions
    file = (places.published / "customer_lifecycle.parquet").resolve()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert [each.subject for each in stores.published(places) if each.state == FAIL] == ["files"]
    file.write_bytes(whole)
    assert states(stores.published(places)) == [OK]
    (places.published / "versions" / second).rename(places.data_dir / "lost")
    (finding,) = stores.published(places)
    assert (finding.state, f"ln -sfn versions/{first}" in finding.remedy) == (FAIL, True)


def test_a_log_beside_the_warehouse_and_a_missing_table_are_said(places: Places) -> None:
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute("create table a as select 1")
    places.warehouse.with_name("warehouse.duckdb.wal").write_bytes(b"")
    found = {finding.subject: finding.state for finding in stores.warehouse(places)}
    assert found == {"file": OK, "log": WARN, "raw tables": WARN}


def test_the_command_calls_nobody_when_told_so_and_has_an_exit_code(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "places", lambda: places)
    monkeypatch.setattr(vendors, "calls", lambda: pytest.fail("It called."))
    monkeypatch.setattr(command.machine, "configuration", list)
    assert CliRunner().invoke(cli.app, ["doctor", "--offline"]).exit_code == 0
    places.ledger.write_bytes(b"broken" * 1000)
    done = CliRunner().invoke(cli.app, ["doctor", "--offline", "--json"])
    assert done.exit_code == 1
    assert '"subject": "file", "state": "fail"' in done.stdout


def test_a_date_that_cannot_be_read_is_no_clock() -> None:
    assert vendors._skew(SimpleNamespace(headers={"Date": "yesterday"})) is None

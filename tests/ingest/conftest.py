from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import silos
from harness import Ingest, Vendors

from ingest import bitrix24, pipeline
from ingest.http import Pace, Patience
from sandbox import serve
from sandbox.limits import Limits
from sandbox.store import Store


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a run, all pointing nowhere until a test says where; nothing of this machine is read."""
    for name in [name for name in os.environ if name.startswith(("SOURCES__", "INGEST__"))]:
        monkeypatch.delenv(name)
    for name, value in pipeline.DLT_SETTINGS.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("SOURCES__SPEND__BUCKET_URL", str(tmp_path / "data" / "bucket" / "spend"))
    monkeypatch.setenv("SOURCES__REPORTS__BUCKET_URL", str(tmp_path / "data" / "bucket" / "reports"))
    monkeypatch.setenv("SOURCES__PRODUCT__BUCKET_URL", str(tmp_path / "data" / "bucket" / "events"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    for name in ("events", "spend", "reports"):
        (path / "bucket" / name).mkdir(parents=True)
    return path


@pytest.fixture
def store(data_dir: Path) -> Iterator[Store]:
    """The silos' store with a little of everything."""
    opened = silos.open_store(data_dir)
    silos.fill(opened)
    yield opened
    opened.close()


@pytest.fixture
def vendors(data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    """The sandbox on a free port, without limits, and the settings that point at it."""
    assert store.now() > 0, "the vendors show what the store holds, so it comes first"
    with serve.start(data_dir, limits=Limits.off()) as running:
        url = running.url
        for name, value in {
            "STRIPE__BASE_URL": f"{url}/stripe",
            "STRIPE__API_KEY": "rk_test_sandbox",
            "STRIPE__REQUESTS_PER_SECOND": "1000",
            "ZENDESK__BASE_URL": f"{url}/zendesk",
            "ZENDESK__EMAIL": "ops@sandbox.example",
            "ZENDESK__API_TOKEN": "sandbox-zendesk-token",
            "ZENDESK__EXPORTS_PER_MINUTE": "1000",
            "BITRIX24__WEBHOOK_URL": f"{url}/bitrix24/rest/1/sandboxsecret",
            "CUSTOMERIO__BASE_URL": f"{url}/customerio/app",
            "CUSTOMERIO__APP_KEY": "sandbox-app-key",
            "CUSTOMERIO__REQUESTS_PER_SECOND": "1000",
        }.items():
            monkeypatch.setenv(f"SOURCES__{name}", value)
        # the portal's pace belongs to the account and so to the process: tests would wait for one another
        monkeypatch.setattr(bitrix24, "PACE", Pace(100_000, 1.0))
        yield Vendors(url)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without waiting, and a read timeout that a test can sit out."""
    patience = Patience(attempts=4, limited_attempts=4, base=0.001, cap=0.001, connect_timeout=1, read_timeout=0.3)
    monkeypatch.setattr("ingest.http.Patience", lambda: patience)


@pytest.fixture
def ingest(data_dir: Path) -> Ingest:
    return Ingest(data_dir)

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import silos
from harness import Ingest, Reader, Vendors, point_at, set_up

from ingest.http import Patience
from sandbox import serve
from sandbox.limits import Limits
from sandbox.store import Store


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a run keeps its data; the sources read folders in it, and vendors nowhere until a test says where."""
    set_up(monkeypatch, tmp_path)
    return tmp_path / "data"


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serve.RunningSandbox]:
    """One sandbox for all tests, on a free port, without limits."""
    folder = tmp_path_factory.mktemp("silos")
    silos.open_store(folder).close()
    with serve.start(folder, limits=Limits.off()) as found:
        yield found


@pytest.fixture
def store(running: serve.RunningSandbox) -> Store:
    """The silos' store with a little of everything, afresh."""
    silos.empty(running.world.store)
    silos.fill(running.world.store)
    return running.world.store


@pytest.fixture
def vendors(running: serve.RunningSandbox, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    """The sandbox as it shows the store, behaving well, and the settings that point at it."""
    assert store.now() > 0, "the vendors show what the store holds, so it comes first"
    running.world.requests.clear()
    point_at(monkeypatch, running.url)
    yield Vendors(running.url)
    # whoever comes next, in whatever order the files run, meets vendors that behave
    running.world.faults.clear()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without waiting."""
    patience = Patience(attempts=4, limited_attempts=4, base=0.001, cap=0.001)
    monkeypatch.setattr("ingest.http.Patience", lambda: patience)


@pytest.fixture
def load(data_dir: Path) -> Ingest:
    """Sources as the pipeline reads and loads them."""
    return Ingest(data_dir)


@pytest.fixture
def ingest(data_dir: Path) -> Iterator[Reader]:
    """Sources as the pipeline reads them, with a short way into the warehouse."""
    reader = Reader(data_dir)
    yield reader
    reader.close()

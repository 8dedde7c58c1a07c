"""What happens when one of the two processes that make a world does not live to see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sandbox import generate as generator
from sandbox.generate import generate, store_path
from sandbox.records import desk
from sandbox.records.clerk import PROJECT_DIR, Clerk, ClerkError
from sandbox.store import Store
from sandbox.world.parameters import WorldParameters

if TYPE_CHECKING:
    from pathlib import Path

TINY = WorldParameters(customers=20, months=1, events_per_day=20)
SIGN_UP = (1.0, 1, "zendesk.organization_created",
           {"key": 7, "name": "A", "external_id": None, "domain_names": []})  # fmt: skip
IMPOSSIBLE = (2.0, 2, "zendesk.organization_changed", {"key": 8, "changes": {}})


def told(*messages: Any) -> subprocess.CompletedProcess[bytes]:
    """A clerk that was told this much, and then nothing more."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox.records.clerk"],
        input=b"".join(orjson.dumps(message) + b"\n" for message in messages),
        capture_output=True, cwd=PROJECT_DIR, check=False, timeout=600,
    )  # fmt: skip


def test_without_the_last_line_nothing_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "silos.sqlite"
    done = told({"path": str(path), "events_since": 0.0}, [SIGN_UP])
    assert done.returncode != 0
    assert b"before the world was complete" in done.stderr
    store = Store(path)
    assert store.count("zendesk.organizations") == 0
    store.close()


def test_what_was_told_is_in_the_store_with_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "silos.sqlite"
    with Clerk(path, 0.0) as clerk:
        clerk.apply([SIGN_UP])
        clerk.finish({"clock": "5.0"}, {"zendesk.organizations": 9})
    store = Store(path)
    assert store.get("zendesk.organizations", 7)
    assert store.now() == 5.0
    assert store.next_id("zendesk.organizations") == 10
    store.close()


def test_a_clerk_that_cannot_go_on_says_why(tmp_path: Path) -> None:
    with Clerk(tmp_path / "silos.sqlite", 0.0) as clerk:
        clerk.apply([IMPOSSIBLE])
        for _ in range(200):  # more than may wait: nobody waits for a clerk that is dead
            clerk.apply([SIGN_UP] * 1000)
        with pytest.raises(ClerkError, match="organizations 8, which was never created"):
            clerk.finish({"clock": "5.0"}, {})


def test_a_clerk_that_was_killed_leaves_the_old_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path, TINY)
    before = store_path(tmp_path).read_bytes()
    started = Clerk.__init__

    def doomed(clerk: Clerk, *arguments: Any) -> None:
        started(clerk, *arguments)
        os.kill(clerk._process.pid, signal.SIGKILL)

    monkeypatch.setattr(Clerk, "__init__", doomed)
    with pytest.raises(ClerkError, match="died"):
        generate(tmp_path, TINY)
    assert store_path(tmp_path).read_bytes() == before


def test_memory_does_not_grow_with_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "KEPT", 10)
    monkeypatch.setattr(desk, "WAITING", 20)
    store = Store(tmp_path / "silos.sqlite")
    held = desk.Desk(store, 0.0)
    for number in range(100):
        held.apply([(1.0, 1, "zendesk.organization_created", {**SIGN_UP[3], "key": number})])
        assert len(held._open) <= 30
    held.flush()
    assert store.count("zendesk.organizations") == 100
    store.close()


def test_what_a_killed_process_left_half_made_is_swept_away(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    leftover, others = tmp_path / f".sandbox-{gone.pid}", tmp_path / f".sandbox-{os.getppid()}"
    leftover.mkdir()
    others.mkdir()
    generate(tmp_path, TINY)
    assert not leftover.exists()
    assert others.exists(), "somebody is at work on it"


def test_a_simulation_that_fails_takes_its_clerk_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clerks = []

    class Watched(Clerk):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            clerks.append(self._process)

    def fail(_done: int, _days: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generator, "Clerk", Watched)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, TINY, fail)
    assert [process.returncode for process in clerks] == [-signal.SIGKILL]
    assert not store_path(tmp_path).exists()

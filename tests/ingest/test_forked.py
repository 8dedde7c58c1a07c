"""A forked child is what a started one would be: told by pipes, ended with its parent, its end known."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ingest import forked
from ingest.forked import TASKS, Forked, may_fork

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")


def test_a_child_is_forked_only_where_it_was_asked_for_and_with_no_more_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TASKS.is_dir()
    threads = tmp_path / "task"
    for name in ("of python", "of a library"):
        (threads / name).mkdir(parents=True)
    monkeypatch.setattr(forked, "TASKS", threads)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert not may_fork()
    with forked.warmed(["json"]):
        assert may_fork()
        (threads / "of a database").mkdir()
        assert not may_fork()
        (threads / "of a database").rmdir()
        monkeypatch.setattr(threading, "active_count", lambda: 2)
        assert not may_fork()
        monkeypatch.setattr(threading, "active_count", lambda: 1)
        monkeypatch.setattr(forked, "TASKS", tmp_path / "not on this system")
        assert not may_fork()
    assert not may_fork()


def test_a_forked_child_hears_says_and_fails_like_another(tmp_path: Path) -> None:
    def work() -> None:
        print("heard " + sys.stdin.readline().strip(), file=sys.__stdout__, flush=True)
        raise SystemExit(7)

    reader, writer = os.pipe()
    with (tmp_path / "errors").open("wb") as errors:
        child = Forked(work, output=writer, errors=errors.fileno(), left=(reader,))
    os.close(writer)
    os.write(child.input, b"hello\n")
    with os.fdopen(reader, encoding="utf-8") as answers:
        assert answers.read() == "heard hello\n"
    child.communicate()
    assert (child.wait(), child.poll(), child.returncode) == (7, 7, 7)


def test_what_a_forked_child_dies_of_is_in_its_errors(tmp_path: Path) -> None:
    def work() -> None:
        raise ValueError("of this")

    with (tmp_path / "errors").open("wb") as errors:
        child = Forked(work, errors=errors.fileno())
    child.communicate()
    assert child.returncode == 1
    assert (tmp_path / "errors").read_text().strip().endswith("ValueError: of this")


def listen() -> None:
    sys.stdin.read()  # the child's, which is not that of this process


def test_the_input_of_a_forked_child_ends_with_its_parent_and_it_can_be_killed() -> None:
    child = Forked(listen)
    assert child.poll() is None
    child.close_input()
    assert child.wait() == 0
    other = Forked(listen)
    other.kill()
    other.communicate()
    assert other.returncode == -signal.SIGKILL

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from lifecycle.lock import HeldError, held

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from lifecycle.lock import held

with held(Path(sys.argv[1]), "run-1", "run"):
    print("held", flush=True)
    sys.stdin.read()
"""

PARENT = """
import os, subprocess, sys
from pathlib import Path
from lifecycle.lock import held

child = '''
import os, signal, sys
from lifecycle.lock import die_with_parent

die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
while True:
    signal.pause()
'''
with held(Path(sys.argv[1]), "run-1", "run") as lock:
    worker = subprocess.Popen(
        [sys.executable, "-c", child, str(os.getpid())], stdin=subprocess.PIPE, stdout=sys.stdout, pass_fds=(lock,)
    )
    worker.wait()
"""


def started(script: Any, path: Any) -> Any:
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    holder, said = started(HOLDER, path)
    assert said == "held"
    with (
        pytest.raises(HeldError, match=rf"`lifecycle run` is at work already \(process {holder.pid}, run run-1\)"),
        held(path, "run-2", "sync"),
    ):
        pass
    holder.communicate("")
    with held(path, "run-2", "sync"):
        assert json.loads(path.read_text())["run_id"] == "run-2"


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with pytest.raises(RuntimeError), held(path, "run-1", "run"):
        raise RuntimeError
    with held(path, "run-2", "run"):
        pass


def test_the_child_of_a_killed_run_dies_and_only_then_is_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    parent, child = started(PARENT, path)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    with held(path, "run-2", "run"):
        assert not is_at_work(int(child))


def is_at_work(pid: Any) -> Any:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

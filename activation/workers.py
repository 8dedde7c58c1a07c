"""Who works on a ledger: processes by name, and whether they still live."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def own_name(number: int = 0) -> str:
    """This process as the holder of leases: host, process id, and when the process started."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}/{number}"


def is_gone(worker: str) -> bool:
    """Whether the worker surely no longer lives: a process of this machine that has ended."""
    host, pid, started, _ = worker.rsplit("/", 3)
    return host == socket.gethostname() and _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process of this machine started, as the kernel counts; empty if there is none (any more)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return _alive_without_proc(pid)
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]


def _alive_without_proc(pid: int) -> str:
    if Path("/proc/self").exists():
        return ""
    try:  # other systems than Linux: whether the number is taken is all that can be known
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "alive"
    return "alive"

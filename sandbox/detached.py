"""The sandbox's server as seen from outside: is it there, start it in the background, stop it.

The server (sandbox/serve.py) writes its log and its process id beside the data it serves. Nothing of it is imported
here, so that asking costs next to nothing.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.faults import Fault
    from sandbox.limits import Limits

HOST = "127.0.0.1"
DEFAULT_PORT = 8411
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads to this machine
START_SECONDS = 120.0  # a server that fails says so at once; on a busy machine it reads what it imports for long
STOP_SECONDS = 120.0
ANSWER_SECONDS = 30.0  # a port at which nobody listens says so at once; a server at work on a busy machine takes longer


class ServerError(RuntimeError):
    """The server could not be started or stopped; the sentence says why and what to do."""


def store_path(data_dir: Path) -> Path:
    """Where the silos' documents are kept."""
    return data_dir / "sandbox" / "silos.sqlite"


def pid_path(data_dir: Path) -> Path:
    """Where a detached server is on record."""
    return data_dir / "sandbox" / "server.json"


def recorded(data_dir: Path) -> dict[str, int] | None:
    """Process id and port of the server on record, whether or not it still runs."""
    try:
        found: dict[str, int] = json.loads(pid_path(data_dir).read_text())
    except (OSError, ValueError):
        return None
    return found


def health(port: int) -> dict[str, Any] | None:
    """What the server on this port says about itself; None when nobody answers as a sandbox."""
    try:
        with DIRECT.open(f"http://{HOST}:{port}/_sandbox/health", timeout=ANSWER_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return found


def steer(url: str, path: str, method: str = "GET", body: Any = None, *, seconds: float = 600.0) -> Any:
    """What a steering endpoint of the sandbox at `url` answers.

    Raises:
        ServerError: if nobody answers there as a sandbox does, or the sandbox refuses; the sentence is its own then.
    """
    said = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    where = f"{url.rstrip('/')}/_sandbox/{path}"
    request = urllib.request.Request(where, said, headers, method=method)  # noqa: S310 - settings let pass http(s) only
    try:
        with DIRECT.open(request, timeout=seconds) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        reason = _reason(refusal)
    except (OSError, http.client.HTTPException, ValueError):
        reason = None
    raise ServerError(reason or f"No sandbox answers at {url}: start it with `lifecycle sandbox up`.")


def _reason(refusal: urllib.error.HTTPError) -> str | None:
    """Why the sandbox refuses; None if it was not the sandbox that answered."""
    try:
        found = json.load(refusal)
    except (OSError, ValueError):
        return None
    return str(found["error"]) if isinstance(found, dict) and "error" in found else None


def is_ours(answer: dict[str, Any] | None, data_dir: Path) -> bool:
    """Whether a health answer comes from a server of this data."""
    return answer is not None and answer.get("data_dir") == str(data_dir.resolve())


def ensure_running(
    data_dir: Path, port: int = DEFAULT_PORT, *, limits: Limits | None = None, faults: Sequence[Fault] = ()
) -> str:
    """The address of a server of this data: the one that runs already, else a new detached one.

    `limits` and `faults` are used when a server is started, not when one is found.

    Raises:
        ServerError: if another server uses the port, or the new one does not come up; the sentence says where to look.
    """
    data_dir = Path(data_dir)
    answer = health(port)
    if is_ours(answer, data_dir):
        return f"http://{HOST}:{port}"
    if answer is not None:
        raise ServerError(
            f"Port {port} serves the sandbox of {answer.get('data_dir')}, not of {data_dir.resolve()}. Stop that one"
            " first or set another port in [sandbox] url."
        )
    if not store_path(data_dir).exists():
        raise ServerError(f"There is no sandbox world in {data_dir}. Make one with: lifecycle sandbox generate")
    log_path = data_dir / "sandbox" / "server.log"
    command = [sys.executable, "-m", "sandbox.serve", "--data-dir", str(data_dir.resolve()), "--port", str(port)]
    if limits is not None:
        command += ["--limits", json.dumps(limits.as_mapping())]
    if faults:
        rules = [{name: getattr(rule, name) for name in rule.__slots__ if name != "hits"} for rule in faults]
        command += ["--faults", json.dumps(rules)]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=project_dir()
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if is_ours(health(port), data_dir):
            return f"http://{HOST}:{port}"
        if process.poll() is not None:
            break
        time.sleep(0.05)
    last = log_path.read_text(errors="replace").strip().splitlines()[-1:] or ["its log is empty"]
    raise ServerError(f"The sandbox's server did not start: {last[0]} (log: {log_path})")


def project_dir() -> Path:
    """The folder from which the package `sandbox` can be imported."""
    return Path(__file__).resolve().parent.parent


def stop_running(data_dir: Path) -> bool:
    """Stop the detached server of this data; whether there was one. Its process is gone then, and its files are closed.

    The process is signalled only after it has said itself that it is the one on record: ids are used again.

    Raises:
        ServerError: if it does not end.
    """
    data_dir = Path(data_dir)
    record = recorded(data_dir)
    if record is None:
        return False
    answer = health(record["port"])
    if not is_ours(answer, data_dir) or answer is None or answer.get("pid") != record["pid"]:
        pid_path(data_dir).unlink(missing_ok=True)
        return False
    if not _ends(record["pid"], record["port"]):
        raise ServerError(f"The sandbox's server (process {record['pid']}) did not end within {STOP_SECONDS:g} s.")
    pid_path(data_dir).unlink(missing_ok=True)
    return True


def _ends(pid: int, port: int) -> bool:
    """Ask a server to end; whether it did in time. Where the system cannot say so, it counts when nobody answers."""
    try:
        process = os.pidfd_open(pid)
    except (AttributeError, OSError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while health(port) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        return bool(select.select([process], [], [], STOP_SECONDS)[0])
    finally:
        os.close(process)

"""A PostgreSQL server of a test's own, where the programs and the driver are installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.environment import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

INITDB = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
WHY_NOT = (
    "" if INITDB and importlib.util.find_spec("pg8000") else "PostgreSQL and its driver pg8000 are not installed here"
)


@contextmanager
def server() -> Iterator[str]:
    """Its address; it is gone afterwards, with everything in it."""
    if INITDB is None:
        raise RuntimeError(WHY_NOT)
    # not below pytest's own folder: that is closed to other users again and again, and this one runs as one
    folder = Path(tempfile.mkdtemp(prefix="ledger-"))
    port = free_port()
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "nobody")
        user = {"user": "nobody", "cwd": folder}
    programs, data = Path(INITDB).resolve().parent, folder / "data"
    control = [programs / "pg_ctl", "-D", data, "-w", "-t", "600", "-l", folder / "server.log"]
    # no socket in the file system: it may lie deeper than the name of one may be long
    # and nothing goes on by itself in the files that tests look into, nor has anything to outlive the machine
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c autovacuum=off -c fsync=off"
    try:
        subprocess.run(
            [INITDB, "-D", data, "-U", "ledger", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"],
            check=True,
            capture_output=True,
            **user,
        )
        subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, **user)
        try:
            yield f"postgresql://ledger@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, **user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""The settings that move everything to a sandbox of its own: another data directory, another port, nothing shared."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import tomllib
from pathlib import Path
from typing import Any

PROJECT_DIR = Path(__file__).resolve().parent.parent
SANDBOX_ADDRESS = "127.0.0.1:8411"
PORTS = range(20_000, 32_000)  # systems give out by themselves what lies above (Linux from 32768 on)
PORTS_OF_A_PROCESS = 16
MOUNTS = {
    "SANDBOX__URL": "",
    "SOURCES__STRIPE__BASE_URL": "/stripe",
    "SOURCES__ZENDESK__BASE_URL": "/zendesk",
    "SOURCES__CUSTOMERIO__BASE_URL": "/customerio/app",
    "ACTIVATION__CUSTOMERIO__BASE_URL": "/customerio/track",
    "ACTIVATION__ZENDESK__BASE_URL": "/zendesk",
}
# what a company may have and the sandbox does not, and what it may hold back
ELSEWHERE = {
    "ACTIVATION__LEDGER_URL": "",
    "ALERTS__HEARTBEAT_URL": "",
    "ACTIVATION__MAKE__REQUIRE_ACK": "false",
    **{f"ACTIVATION__{name}__MODE": "live" for name in ("CUSTOMERIO", "BITRIX24", "MAKE", "ZENDESK")},
}
BUCKETS = {"PRODUCT": "events", "SPEND": "spend", "REPORTS": "reports"}

_given = itertools.count()


def moved(data_dir: Path, port: int) -> dict[str, str]:
    """The settings that lead to a sandbox at this port, with this data directory, and nowhere else.

    This machine may be set up for real accounts, in the environment and in both files of settings: nothing that leads
    to one of their addresses, keys or databases stays in force.
    """
    url = f"http://127.0.0.1:{port}"
    secrets = (PROJECT_DIR / ".dlt" / "secrets.sandbox.toml").read_text("utf-8")
    return {
        **ELSEWHERE,
        **{name: value.replace(SANDBOX_ADDRESS, f"127.0.0.1:{port}") for name, value in _flat(secrets).items()},
        **{name: f"{url}{mount}" for name, mount in MOUNTS.items()},
        **{f"{room}__ZENDESK__EMAIL": "ops@sandbox.example" for room in ("SOURCES", "ACTIVATION")},
        **{
            f"SOURCES__{source}__BUCKET_URL": str(data_dir / "sandbox" / "bucket" / folder)
            for source, folder in BUCKETS.items()
        },
        "LIFECYCLE__DATA_DIR": str(data_dir),
        "LIFECYCLE__CLOCK": "sandbox",
    }


def free_port() -> int:
    """A TCP port on loopback that nothing listens on now, and that nobody is given until a server listens there.

    A server is started later, and started again: a port out of the system's own range could be another's by then.

    Raises:
        RuntimeError: if all of them are taken.
    """
    for _ in PORTS:
        port = PORTS[(os.getpid() * PORTS_OF_A_PROCESS + next(_given)) % len(PORTS)]
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"No port from {PORTS[0]} to {PORTS[-1]} is free on this machine.")


def _flat(document: str) -> dict[str, str]:
    """A TOML document as dlt's environment variables."""

    def walk(node: dict[str, Any], prefix: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in node.items():
            name = f"{prefix}{key.upper()}"
            if isinstance(value, dict):
                found |= walk(value, f"{name}__")
            else:
                found[name] = str(value)
        return found

    return walk(tomllib.loads(document), "")

"""`lifecycle explore`: the explorer in the browser, on this machine only."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Annotated

import typer

from lifecycle import settings
from lifecycle.answering import answering
from lifecycle.errors import CannotRunError

APP = settings.PROJECT_DIR / "dashboard" / "explorer.py"


def explore_command(port: Annotated[int, typer.Option(help="Where it listens, on loopback.", min=1)] = 8501) -> None:
    """Look at one customer's story, and play the past again, in the browser (needs the extra `app`)."""
    with answering(as_json=False):
        if importlib.util.find_spec("streamlit") is None:
            raise CannotRunError("The explorer needs the extra `app`: pip install --editable '.[app]'")
        places = settings.places()
        options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--browser.gatherUsageStats", "false"]
        options += ["--client.toolbarMode", "minimal"]
        environment = {
            **os.environ, "LIFECYCLE_PUBLISHED": str(places.complete_file), "PYTHONPATH": str(APP.parent.parent),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "streamlit", "run", str(APP), *options], env=environment, check=False
        )
    raise typer.Exit(done.returncode)

"""`lifecycle docs`: dbt's own documentation as one page that needs no server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from lifecycle import settings
from lifecycle.answering import Json, answering, say
from lifecycle.dbt import PROJECT_DIR, WAREHOUSE_VARIABLE, DbtError
from lifecycle.lock import held

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.settings import Places

PAGE_NAME = "index.html"


def docs_command(as_json: Json = False) -> None:
    """Write dbt's documentation (models, columns, lineage, exposures) as one page."""
    with answering(as_json=as_json) as progress:
        places = settings.places()
        with held(places.lock, "of none", "docs"), progress.step("document the project"):
            page = generate(places)
        say({"page": str(page)}, f"The documentation is {page}.", as_json=as_json)


def generate(places: Places) -> Path:
    """The page, in the data directory; it has everything it shows in itself.

    Raises:
        DbtError: if dbt cannot document the project; the message is its last words.
    """
    target = places.dbt / "docs"
    arguments = [
        "--no-use-colors", "--log-path", str(places.dbt / "logs"),
        "docs", "generate", "--static",
        "--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR), "--target-path", str(target),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from dbt.cli.main import cli; cli(sys.argv[1:])", *arguments],
        cwd=PROJECT_DIR,
        env={**os.environ, "DO_NOT_TRACK": "1", WAREHOUSE_VARIABLE: str(places.warehouse)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = (done.stdout + done.stderr).strip().splitlines()[-3:]
        raise DbtError(f"dbt could not document the project: {' '.join(' '.join(words).split())}")
    page = places.data_dir / "docs" / PAGE_NAME
    page.parent.mkdir(exist_ok=True)
    shutil.copyfile(target / "static_index.html", page)
    return page

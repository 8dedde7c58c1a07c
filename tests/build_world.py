"""`dbt build` with every test and unit test on a warehouse of its own, as `make test` runs it.

A small world is generated, read and built in a scratch directory; the exit code is dbt's. `--keep DIR` leaves it there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.job import PROJECT_DIR, Job

WORLD = ("--customers", "400", "--months", "10", "--events-per-day", "600")


def main() -> int:
    """Generate, ingest, `dbt build`; dbt's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="use this directory and leave it there")
    keep = parser.parse_args().keep
    if keep:
        return _build(Job(keep, WORLD))
    with tempfile.TemporaryDirectory() as folder:
        return _build(Job(Path(folder), WORLD))


def _build(job: Job) -> int:
    try:
        job.up()
        job.ask("ingest")
    finally:
        job.down()
    environment = {
        **job.environment,
        "LIFECYCLE_WAREHOUSE": str(job.data_dir / "warehouse.duckdb"),
        "DBT_TARGET_PATH": str(job.data_dir / "target"),
        "DBT_LOG_PATH": str(job.data_dir / "logs"),
    }
    dbt = [str(Path(sys.executable).with_name("dbt")), "build", "--profiles-dir", ".", "--quiet", "--fail-fast"]
    return subprocess.run(dbt, cwd=PROJECT_DIR, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""The whole job as a user drives it: the `lifecycle` command in a process of its own, on data of its own.

Benchmarks and end-to-end tests stand on this, so that what is measured is what a person runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.environment import free_port, moved

PROJECT_DIR = Path(__file__).resolve().parent.parent


def build_models(warehouse: Path, *selected: str, full_refresh: bool = False) -> None:
    """Build models of the project in a warehouse of a benchmark's own, without tests.

    A part of the project cannot pass the tests of the whole, so this is not `lifecycle build`.

    Raises:
        subprocess.CalledProcessError: if a model does not build; what dbt says is printed.
    """
    environment = {
        **os.environ,
        "LIFECYCLE_WAREHOUSE": str(warehouse),
        "DBT_TARGET_PATH": str(warehouse.parent / "target"),
        "DBT_LOG_PATH": str(warehouse.parent / "logs"),
    }
    command = [str(Path(sys.executable).with_name("dbt")), "build", "--profiles-dir", ".", "--quiet"]
    command += ["--full-refresh"] if full_refresh else []
    command += ["--select", *selected, "--exclude-resource-type", "test", "unit_test"]
    subprocess.run(command, cwd=PROJECT_DIR, env=environment, check=True)


@dataclass(slots=True)
class Job:
    """One data directory with its sandbox and its pipeline.

    `world` are the options of `lifecycle sandbox generate`, for example `("--customers", "200")`. Nothing is shared
    with the repository's own `data/`: directory, port and every address are given by the environment.
    """

    data_dir: Path
    world: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    more_environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where this job's sandbox serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command: the committed sandbox settings, moved to this job's port and directory."""
        return {**os.environ, **moved(self.data_dir, self.port), **self.more_environment}

    def command(self, *arguments: str) -> list[str]:
        """The command line of `lifecycle` with these arguments, in this interpreter."""
        return [str(Path(sys.executable).with_name("lifecycle")), *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it; its standard output and error are pipes."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=PROJECT_DIR,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit code."""
        return subprocess.run(
            self.command(*arguments), cwd=PROJECT_DIR, env=self.environment, text=True, capture_output=True, check=False
        )

    def ask(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        """Run a command with `--json` and return what it says.

        Raises:
            AssertionError: if it ends with another exit code than `expect`; the message holds what it printed.
        """
        done = self.call(*arguments, "--json")
        if done.returncode != expect:
            raise AssertionError(
                f"lifecycle {' '.join(arguments)} ended with {done.returncode}, not {expect}.\n"
                f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def up(self) -> None:
        """Make the world if there is none and serve it."""
        if not (self.data_dir / "sandbox").exists():
            self.ask("sandbox", "generate", *self.world)
        self.ask("sandbox", "up")

    def down(self) -> None:
        """Stop the sandbox."""
        self.call("sandbox", "down")

    @contextmanager
    def serving(self) -> Iterator[Job]:
        """This job with its sandbox up, which is stopped behind the block."""
        try:
            self.up()
            yield self
        finally:
            self.down()

    def discard(self) -> None:
        """Stop the sandbox and remove everything this job made."""
        self.down()
        shutil.rmtree(self.data_dir, ignore_errors=True)


@contextmanager
def company_after_a_run(*world: str) -> Iterator[Job]:
    """A simulated company in a folder of its own, served and run once; nothing of it is left behind the block."""
    with tempfile.TemporaryDirectory() as folder, Job(Path(folder), world).serving() as job:
        job.ask("run")
        yield job

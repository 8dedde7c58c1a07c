from __future__ import annotations

import fcntl
import gc
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

PROJECT_DIR = Path(__file__).resolve().parent.parent

# Nothing that this machine is set up for has a say: no account of the company's, no proxy, and no opinion of a shell or
# of a CI service about terminals. Settings are the committed ones, without the secrets that may stand beside them.
FOREIGN = re.compile(
    r"[A-Z0-9]\w*__\w+|(DBT|DLT|LIFECYCLE)_\w+|\w+_PROXY"
    r"|COLUMNS|LINES|TERMINAL_WIDTH|GITHUB_ACTIONS|NO_COLOR|(FORCE|PY)_COLORS?|CLICOLOR\w*",
    re.IGNORECASE,
)
for name in [name for name in os.environ if FOREIGN.fullmatch(name)]:
    del os.environ[name]
os.environ["DLT_PROJECT_DIR"] = str(PROJECT_DIR / "tests" / "settings")

# the same examples every time, however long a busy machine takes over one: other examples are for the benchmarks
settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

# the order in which three processes take files up: the first makes the undisturbed run that all of `end_to_end/` copies
# and waits for, the second is the longest, the third has other things to do meanwhile
LONGEST = ("test_main_job.py", "test_begun_again.py", "test_extract.py")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """In a new checkout one process compiles every file and the others wait, instead of each doing it for itself."""
    if sys.dont_write_bytecode or any((PROJECT_DIR / "tests" / "__pycache__").glob("test_project.*")):
        return (yield)
    (PROJECT_DIR / "target").mkdir(exist_ok=True)
    with (PROJECT_DIR / "target" / "collect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return (yield)


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not walk it (dbt and dlt are big) again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def pytest_unconfigure() -> None:
    """Extension modules (DuckDB's among them) call what is left at the end a leak."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: no process is left alone with an end-to-end test while the others are done."""
    items.sort(key=_place)


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all processes of a test session."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


def _place(item: pytest.Item) -> int:
    if item.path.name in LONGEST:
        return LONGEST.index(item.path.name)
    return len(LONGEST) + (item.get_closest_marker("end_to_end") is None)

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

# the order in which three processes take files up: the first makes the undisturbed run that all of `end_to_end/` copies
# and waits for, the second is the longest, the third has other things to do meanwhile
LONGEST = ("test_main_job.py", "test_begun_again.py", "test_extract.py")


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

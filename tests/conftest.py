from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: with two processes, neither is left alone with an end-to-end test while the other is done."""
    items.sort(key=lambda item: item.get_closest_marker("end_to_end") is None)

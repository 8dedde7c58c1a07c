from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.billing import stories

if TYPE_CHECKING:
    from tests.warehouse import Warehouse


@pytest.fixture(scope="session")
def told_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Every story of `vectors.yml`, loaded and built once for the session. To be copied, not changed."""
    return stories.built(tmp_path_factory.mktemp("vectors"))

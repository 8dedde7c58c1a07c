from __future__ import annotations

from pathlib import Path

import pytest

from tests.billing import stories
from tests.shared import made_once
from tests.warehouse import Warehouse


@pytest.fixture(scope="session")
def told_warehouse(common: Path) -> Warehouse:
    """Every story of `vectors.yml`, loaded and built once for the session. To be copied, not changed."""
    return Warehouse(made_once(common / "vectors", stories.built))

"""What the tests of the playbook share: its compiled models and databases to run them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.playbook.book import Playbook, compile_models

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The SQL that dbt makes of the models, at a fixed as_of."""
    return compile_models(tmp_path_factory.mktemp("playbook"))


@pytest.fixture
def playbook(compiled: dict[str, str]) -> Iterator[Playbook]:
    """A playbook with empty inputs."""
    book = Playbook(compiled)
    yield book
    book.connection.close()


@pytest.fixture(scope="module")
def shared_playbook(compiled: dict[str, str]) -> Iterator[Playbook]:
    """The same for property tests, which run many examples in one database and fill every input anew."""
    book = Playbook(compiled)
    yield book
    book.connection.close()

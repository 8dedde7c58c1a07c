from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from activation.actions import Action
from activation.ledger import Ledger, metadata
from sandbox.detached import store_path
from sandbox.serve import RunningSandbox, start
from sandbox.store import Store
from tests import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
DEALS = 60


class FakeTime:
    """Time that passes only when somebody pauses."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return AS_OF + timedelta(seconds=self.seconds)

    def wall(self) -> datetime:
        return datetime.fromisoformat("2030-01-01T00:00:00") + timedelta(seconds=self.seconds)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds

    def next_of(self, finished: Any, seconds: float | None) -> Any:
        """What is in flight comes back without any time passing here."""
        del seconds
        return finished.get()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def rng() -> random.Random:
    return random.Random(7)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """A PostgreSQL server of the tests' own, gone afterwards."""
    if postgres.WHY_NOT:
        pytest.skip(postgres.WHY_NOT)
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A new ledger's place, once in each kind of database."""
    if request.param == "sqlite":
        return tmp_path / "ledger.sqlite"
    url: str = request.getfixturevalue("database")
    emptied = Ledger(url)
    with emptied.transaction() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    emptied.close()
    return url


@pytest.fixture
def either(where: Path | str) -> Iterator[Ledger]:
    """A ledger, once in each kind of database."""
    opened = Ledger(where)
    yield opened
    opened.close()


@pytest.fixture
def action() -> Callable[..., Action]:
    """Makes an action; the number decides its id."""

    def make(number: int = 1, **changes: object) -> Action:
        made = Action(
            action_id=f"{number:032x}",
            destination="customerio",
            object="events",
            action="celebrate",
            customer_id=f"c_{number}",
            occurrence_id=f"o_{number}",
            occurred_at=AS_OF - timedelta(hours=1),
            expires_at=AS_OF + timedelta(days=2),
            priority=10,
            payload=f'{{"user_id":"usr_{number}","event_name":"first_integration","attributes":{{"n":{number}}}}}',
        )
        return made._replace(**changes)

    return make


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    """The vendors' servers over a small world: some open deals, nothing else."""
    path = store_path(tmp_path)
    path.parent.mkdir(parents=True)
    now = 1793512800.0  # 2026-11-01T06:00:00Z
    store = Store(path)
    store.set_now(now)
    for number, stage in enumerate(("NEW", "EXECUTING", "WON"), start=1):
        status = {"ID": number, "ENTITY_ID": "DEAL_STAGE", "STATUS_ID": stage, "NAME": stage, "SEMANTICS": None}
        store.put("bitrix24.statuses", str(number), status, now, now)
    for number in range(1, DEALS + 1):
        deal = {
            "id": number,
            "entityTypeId": 2,
            "title": f"Deal {number}",
            "categoryId": 0,
            "stageId": "NEW",
            "stageSemanticId": "P",
            "opportunity": 100.0,
            "closed": "N",
            "ufCrmLifecycleState": None,
        }
        store.put("bitrix24.deals", str(number), deal, now - 86400, now - 86400)
    store.close()
    with start(tmp_path) as running:
        yield running

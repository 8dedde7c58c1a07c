"""Make a world, and let time pass in it.

`generate` builds a new world beside the old one and swaps them at the end. `advance` writes everything that repeats
itself exactly (partitions, the state of a day) before one transaction moves the documents and the clock together:
killed at any moment and called again it ends with the same world.

The clock shows 06:00 UTC of a day that is only begun. That day is simulated as a whole, but only what lies before the
clock is shown; the next advance simulates it again, to the same end, and shows the rest.
"""

from __future__ import annotations

import gc
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sandbox import bucket, manual_reports
from sandbox.records.clerk import Clerk
from sandbox.records.desk import Desk
from sandbox.records.stripe import EVENT_DAYS
from sandbox.store import COLLECTIONS, Store
from sandbox.world import truth
from sandbox.world.dates import day_of, day_start, iso
from sandbox.world.parameters import CLOCK_HOUR, DAY, FOUNDED_AT, HOUR, WorldParameters
from sandbox.world.simulation import simulate_day
from sandbox.world.state import World

if TYPE_CHECKING:
    from sandbox.store import Delivery
    from sandbox.world.day import Fact

FIRST_DELIVERED_NUMBER = 9_000_000
"""What is created through the vendors' APIs is numbered from here, so that the world's own numbers stay its own."""
NUMBERED = ("zendesk.", "bitrix24.")

Progress = Callable[[int, int], None]


class Records(Protocol):
    """Who keeps the vendors' records: a desk in this process, or a clerk in another."""

    def apply(self, facts: Iterable[Fact]) -> None:
        """Let facts change the records, in the order they are given."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a world holds after `generate` or `advance`."""

    clock: str
    days: int
    accounts: int
    people: int
    documents: dict[str, int]
    event_partitions: int
    deliveries_applied: int
    seconds: float


def store_path(data_dir: Path) -> Path:
    """Where the documents of a data folder are."""
    return Path(data_dir) / "sandbox" / "silos.sqlite"


def generate(data_dir: Path, parameters: WorldParameters | None = None, progress: Progress | None = None) -> Summary:
    """Make a new world in `data_dir`/sandbox, replacing the one that is there.

    Args:
        data_dir: The project's data folder.
        parameters: Sizes, seed and frequencies; the default world if None.
        progress: Called after each day with (days done, days to do).
    """
    started = time.monotonic()
    final = Path(data_dir) / "sandbox"
    new = final.with_name(f".sandbox-{os.getpid()}")
    _sweep(final)
    (new / "world").mkdir(parents=True)
    world = World(parameters or WorldParameters())
    clock = clock_of(world.parameters.days)
    with Clerk(new / "silos.sqlite", clock - EVENT_DAYS * DAY) as clerk:
        settings = _live(world, clerk, new, float(FOUNDED_AT), clock, lambda _number: (), progress)
        numbered = dict.fromkeys((name for name in COLLECTIONS if name.startswith(NUMBERED)), FIRST_DELIVERED_NUMBER)
        clerk.finish(settings, numbered)
    store = Store(new / "silos.sqlite")
    try:
        summary = _summary(world, store, new, 0, started)
    finally:
        store.close()
    _swap(new, final)
    return summary


def advance(data_dir: Path, days: int = 1, progress: Progress | None = None) -> Summary:
    """Let `days` days pass: what was delivered takes effect, the vendors' data grow, the clock moves.

    Raises:
        FileNotFoundError: if there is no world in `data_dir`.
        ValueError: if `days` is not positive.
    """
    started = time.monotonic()
    if days < 1:
        raise ValueError(f"Time passes in whole days forwards; got {days}.")
    path = store_path(data_dir)
    if not path.exists():
        raise FileNotFoundError(f"There is no sandbox world in {data_dir}. Make one with: lifecycle sandbox generate.")
    folder = path.parent
    store = Store(path)
    try:
        before = store.now()
        world = World.load(folder / "world" / str(store.setting("world_state")))
        clock = before + days * DAY
        applied = 0

        def delivered_on(number: int) -> list[Delivery]:
            nonlocal applied
            found = store.deliveries(received_gte=day_start(number), received_lt=day_start(number + 1))
            applied += len(found)
            return found

        with store.transaction():
            desk = Desk(store, clock - EVENT_DAYS * DAY)
            settings = _live(world, desk, folder, before, clock, delivered_on, progress)
            desk.flush()
            store.delete_created_before("stripe.events", desk.events_since)
            for name, value in settings.items():
                store.set_setting(name, value)
        for old in (folder / "world").iterdir():
            if old.name != settings["world_state"]:
                shutil.rmtree(old)
        return _summary(world, store, folder, applied, started)
    finally:
        store.close()


def change_habits(data_dir: Path, change: Callable[[WorldParameters], WorldParameters]) -> None:
    """Give the world that is there other parameters from now on; no sandbox may be running on it.

    Raises:
        FileNotFoundError: if there is no world in `data_dir`.
    """
    path = store_path(data_dir)
    if not path.exists():
        raise FileNotFoundError(f"There is no sandbox world in {data_dir}. Make one with: lifecycle sandbox generate.")
    store = Store(path)
    try:
        World.change_parameters(path.parent / "world" / str(store.setting("world_state")), change)
    finally:
        store.close()


def clock_of(day: int) -> float:
    """What the clock shows on a day: 06:00 UTC, in unix seconds."""
    return float(day_start(day) + CLOCK_HOUR * HOUR)


def _live(
    world: World,
    records: Records,
    folder: Path,
    since: float,
    clock: float,
    delivered_on: Callable[[int], Sequence[Delivery]],
    progress: Progress | None,
) -> dict[str, str]:
    """Simulate from the world's day to the clock's; what happened in [since, clock) becomes documents and files.

    Returns:
        The settings of the store that go with the documents.
    """
    first, last = world.day, day_of(clock)
    settings = {"seed": str(world.parameters.seed), "clock": repr(clock)}
    with bucket.EventWriter(folder / "bucket", world.late_events) as writer, _without_collection():
        for number in range(first, last + 1):
            if number == last:
                world.late_events = writer.late()
                settings["world_state"] = _save_state(world, folder)
            day = simulate_day(world, delivered_on(number - 1))
            writer.write(day, clock)
            records.apply(day.facts_within(since, clock))
            if number < last:
                bucket.write_spend(world, number, folder / "bucket")
                manual_reports.write(world, day, folder / "bucket")
            if progress:
                progress(number - first + 1, last - first + 1)
        writer.late()
    truth.write(world, folder / "truth", clock)
    return settings


@contextmanager
def _without_collection() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: it would walk all documents in memory again and again.

    Documents hold no cycles and are freed by their reference counts.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _save_state(world: World, folder: Path) -> str:
    """Keep the state at the start of the clock's day; its name, which the store holds together with the clock."""
    name = f"day-{world.day:05d}"
    final = folder / "world" / name
    new = final.with_name(f".{name}-{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    world.save(new)
    shutil.rmtree(final, ignore_errors=True)
    new.rename(final)
    return name


def _sweep(final: Path) -> None:
    """Remove what others that were killed while they made a world left beside it."""
    for left in final.parent.glob(f".{final.name}-*"):
        maker = left.name.rpartition("-")[2]
        if maker == str(os.getpid()) or not _is_alive(int(maker)):
            shutil.rmtree(left, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _swap(new: Path, final: Path) -> None:
    """Put a finished folder in the place of the old one."""
    old = final.with_name(f".sandbox-old-{os.getpid()}")
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _summary(world: World, store: Store, folder: Path, applied: int, started: float) -> Summary:
    clock = store.now()
    joined = world.people.user_id != ""
    return Summary(
        clock=iso(clock),
        days=day_of(clock),
        accounts=int((world.accounts.signed_up_at < clock).sum()),
        people=int(joined.sum()),
        documents={collection: store.count(collection) for collection in COLLECTIONS},
        event_partitions=sum(1 for _ in (folder / "bucket" / "events").iterdir()),
        deliveries_applied=applied,
        seconds=time.monotonic() - started,
    )

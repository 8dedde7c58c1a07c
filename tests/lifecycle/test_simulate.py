"""The simulated months: a day is written down when it is over, and an interrupted simulation goes on where it stood."""

from __future__ import annotations

import datetime as dt
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ingest import given
from lifecycle import cli, clock, go_live, run, settings, simulate
from lifecycle.go_live.record import Standing
from lifecycle.progress import Lines
from lifecycle.settings import Places
from sandbox import detached, generate
from sandbox.limits import Limits
from sandbox.world.parameters import WorldParameters
from sandbox.world.state import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST = dt.datetime(2025, 11, 1, 6)  # noqa: DTZ001 - the warehouse's times are naive UTC


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A company whose clock only `advance` moves, and a daily job that does nothing; what was asked of them."""
    world: dict[str, Any] = {"now": FIRST, "advanced": 0, "runs": []}

    def steer(*asked: Any) -> None:
        assert asked[1:] == ("advance", "POST", {"days": 1})
        world["now"] += dt.timedelta(days=1)
        world["advanced"] += 1

    @contextmanager
    def started(_command: str, progress: Lines, *, prepare: Callable[[Places], None], **_: Any) -> Iterator[run.Run]:
        prepare(Places(tmp_path))
        yield run.Run(Places(tmp_path), f"run-{len(world['runs'])}", world["now"], progress)

    def everything(this: run.Run) -> run.Summary:
        with this.progress.step("ingest"):
            world["runs"].append(this.as_of)
        return run.Summary(this.run_id, this.as_of)

    monkeypatch.setattr(detached, "steer", steer)
    monkeypatch.setattr(clock, "as_of", lambda: world["now"])
    monkeypatch.setattr(run, "started", started)
    monkeypatch.setattr(run, "everything", everything)
    monkeypatch.setattr(go_live, "status", lambda _: go_live.Status(Standing(False, "not yet"), [], FIRST, None))
    return world


def simulated(done: list[simulate.Simulated], days: int) -> None:
    simulate._live("http://127.0.0.1:1", done, days, Lines(quiet=True))


def test_each_day_is_written_down_and_begins_with_a_day_more(company: dict[str, Any], tmp_path: Path) -> None:
    done: list[simulate.Simulated] = []
    simulated(done, 3)
    assert company["runs"] == [FIRST + dt.timedelta(days=number) for number in range(3)]
    assert company["advanced"] == 2, "the first day is the one that the company was made for"
    assert set(done[0].phases) == {"ingest"}
    assert set(done[2].phases) == set(done[2].processor_seconds) == {"advance", "ingest"}
    assert simulate._done(tmp_path) == done


@pytest.mark.parametrize(("is_morning_after", "advanced"), [(False, 1), (True, 0)])
def test_a_resumed_simulation_lives_no_day_twice(
    company: dict[str, Any], tmp_path: Path, *, is_morning_after: bool, advanced: int
) -> None:
    simulated([], 1)
    if is_morning_after:  # the company had lived on when the day was interrupted
        company["now"] += dt.timedelta(days=1)
    done = simulate._done(tmp_path)
    simulated(done, 2)
    assert [day.day for day in done] == [1, 2]
    assert company["advanced"] == advanced
    assert company["runs"][-1] == FIRST + dt.timedelta(days=1)
    lines = (tmp_path / simulate.DAYS).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [asdict(day) for day in done]


@pytest.mark.parametrize(
    ("options", "net_of_fees"),
    [((), (0, 0)), (("--plant-on", "-4"), (179, 182)), (("--plant-on", "1", "--plant-days", "1"), (184, 185))],
)
def test_a_new_simulation_lives_in_a_company_of_its_own(
    company: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    net_of_fees: tuple[int, int],
) -> None:
    """Six months have 184 days, so the last before the simulation's first is day 183 of the world."""
    folder, made, served = tmp_path / "simulation", [], []
    (folder / "dbt" / "target").mkdir(parents=True)
    (folder / simulate.DAYS).write_text("of the last simulation")
    (folder / "dbt" / simulate.PARSED).write_text("what dbt has read")

    def ensure_running(data_dir: Path, port: int, *, limits: Limits) -> str:
        served.append((data_dir, limits))
        assert os.environ["LIFECYCLE__DATA_DIR"] == str(folder)
        return f"http://127.0.0.1:{port}"

    monkeypatch.setattr(generate, "generate", lambda *given: made.append(given))
    monkeypatch.setattr(detached, "ensure_running", ensure_running)
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(tmp_path))
    answer = CliRunner().invoke(cli.app, ["simulate", "--days", "1", "--customers", "40", *options, "--json"])
    assert answer.exit_code == 1, f"it is not live after a day\n{answer.output}"
    assert made == [(folder, WorldParameters(customers=40, months=6, events_per_day=150, net_of_fees=net_of_fees))]
    assert served == [(folder, Limits.off())]
    assert company["runs"] == [FIRST]
    assert json.loads(answer.stdout)["data_dir"] == str(folder)
    assert os.environ["LIFECYCLE__DATA_DIR"] == str(tmp_path), "the settings are what they were"
    assert (folder / "dbt" / simulate.PARSED).read_text() == "what dbt has read"
    assert not (folder / simulate.DAYS).exists(), "the days of the last simulation are not its own"


def test_no_simulation_is_led_to_a_real_account(
    company: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that a container was given as a file comes before the environment."""
    (tmp_path / "activation--make--webhook-url").write_text("https://hook.eu1.make.example/real")
    monkeypatch.setattr(given, "MOUNTED_SECRETS", tmp_path)
    monkeypatch.setattr(generate, "generate", lambda *_: pytest.fail("It began."))
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(tmp_path))
    answer = CliRunner().invoke(cli.app, ["simulate", "--days", "1"])
    assert answer.exit_code == 2
    assert "ACTIVATION__MAKE__WEBHOOK_URL is given by a file in /run/secrets" in " ".join(answer.output.split())
    assert company["runs"] == []


def test_there_has_to_be_a_simulation_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "places", lambda: Places(tmp_path))
    answer = CliRunner().invoke(cli.app, ["simulate", "--resume", "--json"])
    assert answer.exit_code == 2
    assert "leave --resume out" in answer.output


@pytest.mark.usefixtures("company")
def test_what_is_over_cannot_be_planted_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated([], 3)
    (tmp_path / "simulation").mkdir()
    (tmp_path / simulate.DAYS).rename(tmp_path / "simulation" / simulate.DAYS)
    monkeypatch.setattr(settings, "places", lambda: Places(tmp_path))
    answer = CliRunner().invoke(cli.app, ["simulate", "--resume", "--days", "9", "--plant-on", "2", "--json"])
    assert answer.exit_code == 2
    assert "Day 2 is over; plant on day 3 or later" in answer.output


def test_finance_of_a_company_that_is_there_counts_otherwise_from_a_day_on(tmp_path: Path) -> None:
    World(WorldParameters(customers=3, months=2)).save(tmp_path)
    before = World.load(tmp_path)
    World.change_parameters(tmp_path, partial(simulate._planted, days=(15, 18)))
    after = World.load(tmp_path)
    days = before.parameters.days
    assert after.parameters == replace(before.parameters, net_of_fees=(days + 14, days + 17))
    assert after.counters == before.counters

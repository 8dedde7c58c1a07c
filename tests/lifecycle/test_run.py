"""The steps of a run over a small warehouse; the silos and dbt are stood in for, the destinations are not needed."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import duckdb
import pytest
from typer.testing import CliRunner

from activation.ledger import Ledger
from activation.sync import Outlook
from activation.tally import Tally
from ingest import ops
from ingest.outcomes import SourceResult
from lifecycle import activate, alerts, cli, dbt, go_live, run, settings
from lifecycle.errors import CannotRunError
from lifecycle.playbook import sheets
from lifecycle.publication import publish, standing
from lifecycle.remembered import closed_months, identities, states, verdicts
from lifecycle.settings import Places
from tests.shared import empty_warehouse

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")


# each run reads and judges the playbook before anything else; here they are all of one playbook
read_once = functools.cache(sheets.read)


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch, places: Places, fill: Any, good_build: dbt.Build) -> Any:
    """A world in which silos answer, dbt builds, and the chat listens; tests change what they need."""
    played = SimpleNamespace(
        sources=[SourceResult("stripe", "ok", rows_loaded=10), SourceResult("zendesk", "ok", rows_loaded=5)],
        built=good_build,
        customers=200,
        alerts=[],
        tallies=[],
        remembered=[],
        breaks=[],
    )

    def extract(_settings: Any, *, run_id: Any, as_of: Any, sources: Any = None, progress: Any = None) -> Any:  # noqa: ARG001
        if not places.warehouse.exists():
            places.warehouse.write_bytes(empty_warehouse())
        with duckdb.connect(str(places.warehouse)) as connection:
            ops.record(connection, "runs", [{"run_id": run_id, "as_of": as_of, "started_at": as_of}])
            ops.record(
                connection,
                "extracts",
                [
                    {
                        "extract_id": f"{run_id}-{result.source}",
                        "run_id": run_id,
                        "source": result.source,
                        "as_of": as_of,
                        "status": "succeeded" if result.ok else "failed",
                        "error": result.error,
                    }
                    for result in played.sources
                ],
            )
        return played.sources

    class Child:
        def build(self, _progress: Any, *, arguments: Any = ()) -> Any:  # noqa: ARG002
            fill(customers=played.customers)
            return played.built

    @contextmanager
    def start(_places: Any, *, inherited: Any = ()) -> Any:  # noqa: ARG001
        yield Child()

    def delivered(*_args: Any, **_kwargs: Any) -> activate.Activation:
        return activate.Activation(Outlook("plan", "version", AS_OF), played.tallies, [])

    def send(text: Any) -> Any:
        played.alerts.append(text)
        return alerts.Sent(ok=True, sentence="The team was told.")

    monkeypatch.setattr(run.extract, "run", extract)
    monkeypatch.setattr(dbt, "start", start)
    monkeypatch.setattr(alerts, "send", send)
    monkeypatch.setattr(activate, "activate", delivered)
    monkeypatch.setattr(go_live, "review", lambda *_args: played.breaks)
    for module in (identities, states, verdicts, closed_months):
        monkeypatch.setattr(module, "remember", lambda *_args, name=module.__name__: played.remembered.append(name))
    # no run decides what is in an extract, and Tableau's engine takes longer to start than a run takes here
    monkeypatch.setenv(settings.TABLEAU_EXTRACT.variable, "false")
    monkeypatch.setattr(sheets, "read", lambda: read_once(sheets.PROJECT))
    monkeypatch.setattr(settings, "places", lambda: places)
    monkeypatch.setattr(settings, "check_all", lambda: None)
    monkeypatch.setattr(run.clock, "as_of", lambda: AS_OF)
    return played


def whole(progress: Any) -> Any:
    with run.started("run", progress, is_new=True, builds=True) as this:
        return run.everything(this)


def test_a_period_that_did_not_agree_is_told_and_fails_no_run(progress: Any, stage: Any) -> None:
    stage.breaks = ["validation: payments of 2026-10-27 differs by 9.00"]
    summary = whole(progress)
    assert summary.exit_code == 0
    assert "payments of 2026-10-27" in stage.alerts[0]
    assert any("payments of 2026-10-27" in message for message in summary.messages)


def log(places: Places) -> Any:
    with duckdb.connect(str(places.warehouse)) as connection:
        return connection.execute(
            "select outcome, version, sha256, reason from raw_ops.publications order by rowid"  # as they were written
        ).fetchall()


def test_a_good_run_publishes_and_says_so_everywhere(places: Places, progress: Any, stage: Any) -> None:
    summary = whole(progress)
    assert (summary.exit_code, summary.version) == (0, publish.current_version(places))
    assert stage.alerts == []
    modules = ("identities", "states", "verdicts", "closed_months")
    assert stage.remembered == [f"lifecycle.remembered.{name}" for name in modules]
    with duckdb.connect(str(places.published_file.resolve()), read_only=True) as connection:
        published = connection.execute("select outcome, version, as_of from marts.publish_log").fetchall()
        checks = connection.execute("select count(*) from marts.gate_results").fetchone()
    assert published == [("published", summary.version, AS_OF)]
    assert checks == (len(summary.verdict.checks),)


def test_running_again_on_unchanged_data_changes_no_published_number(places: Places, progress: Any) -> None:
    whole(progress)
    whole(progress)
    first, second = log(places)
    assert first[1] != second[1]
    assert first[2] == second[2]


def test_a_shut_gate_publishes_nothing_alerts_and_exits_1(places: Places, progress: Any, stage: Any, node: Any) -> None:
    good = whole(progress)
    stage.customers = 999
    stage.built.nodes.append(node("assert_mrr_adds_up", "fail", message="Got 7 results"))
    summary = whole(progress)
    assert summary.exit_code == 1
    assert publish.current_version(places) == standing.name_again(good.version, summary.run_id)
    with duckdb.connect(str(places.published_file.resolve()), read_only=True) as connection:
        assert connection.execute("select count(*) from marts.customer_lifecycle").fetchone() == (200,)
    (alert,) = stage.alerts
    assert "assert_mrr_adds_up" in alert
    assert f"version {good.version} goes on serving" in alert
    assert log(places)[-1][0] == "blocked"
    assert len(stage.remembered) == 4, "what was not shown is not remembered as shown"
    assert "assert_mrr_adds_up" in " ".join(summary.messages)


def test_a_blocked_run_says_so_in_the_version_that_goes_on_serving(
    places: Places, progress: Any, stage: Any, node: Any
) -> None:
    good = whole(progress)
    fine, broken = list(stage.built.nodes), node("assert_mrr_adds_up", "fail", message="Got 7 results")

    def asked(question: str) -> Any:
        with duckdb.connect(str(places.published_file.resolve()), read_only=True) as connection:
            return connection.execute(question).fetchall()

    stage.customers = 999
    stage.built.nodes[:] = [*fine, broken]
    for _ in range(2):  # the second time, what is shown again was itself shown again
        held = whole(progress)
        assert asked("select count(*), max(mrr) from marts.customer_lifecycle") == [(200, 199)]
        assert asked("select is_held_back, held_back_as_of from marts.source_refresh") == [(True, AS_OF)]
        assert "assert_mrr_adds_up" in asked("select held_back_reason from marts.source_refresh")[0][0]
        blocked = asked(f"select outcome, version from marts.publish_log where run_id = '{held.run_id}'")
        assert blocked == [("blocked", publish.current_version(places))]
        failed = f"select check_name from marts.gate_results where run_id = '{held.run_id}' and outcome = 'block'"
        assert asked(failed) == [("assert_mrr_adds_up",)]
        assert asked("select comment from duckdb_tables() where table_name = 'customer_lifecycle'") == [
            ("One row per customer; it's the one.",)
        ]
        flat = places.published / "gate_results.parquet"
        assert asked(f"select count(*) from '{flat}'") == asked("select count(*) from marts.gate_results")
    assert standing.origin(publish.current_version(places)) == good.version
    stage.built.nodes[:] = fine
    better = whole(progress)
    assert publish.current_version(places) == better.version
    assert asked("select is_held_back from marts.source_refresh") == [(False,)]
    assert [row[0] for row in log(places)] == ["published", "blocked", "blocked", "published"]


def test_a_mart_that_shrank_since_the_last_version_is_not_published(places: Places, progress: Any, stage: Any) -> None:
    good = whole(progress)
    stage.customers = 150
    summary = whole(progress)
    assert summary.exit_code == 1
    assert "mart_keeps_rows customer_lifecycle (150 rows, the version that serves has 200)" in summary.messages[0]
    assert standing.origin(publish.current_version(places)) == good.version


def test_a_silo_that_is_down_is_said_the_others_are_published_and_it_exits_2(
    places: Places, progress: Any, stage: Any
) -> None:
    stage.sources = [SourceResult("stripe", "failed", error="It does not answer."), stage.sources[1]]
    summary = whole(progress)
    assert summary.exit_code == 2
    assert publish.current_version(places) == summary.version
    assert "stripe gave nothing: It does not answer" in stage.alerts[0]
    assert [check.name for check in summary.verdict.warnings] == ["silo_answered stripe"]


@pytest.mark.parametrize("trouble", [{"rejected": 1}, {"unknown": 1}, {"waiting": 1}, {"stopped": "401"}])
def test_deliveries_that_did_not_arrive_make_it_exit_1_and_are_told(progress: Any, stage: Any, trouble: Any) -> None:
    stage.tallies = [Tally("zendesk", acknowledged=3, **trouble)]
    assert whole(progress).exit_code == 1
    assert "zendesk" in stage.alerts[0]


def test_a_run_that_died_before_the_flip_is_put_right_by_the_next(
    places: Places, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(progress)
    serving = publish.current_version(places)

    class Killed(BaseException):
        """Nothing in the run can catch this, as nothing can catch a kill."""

    def dies(*_args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(publish, "_point", dies)
        with pytest.raises(Killed):
            whole(progress)
    assert publish.current_version(places) == serving
    assert [row[0] for row in log(places)] == ["published", "published"]
    summary = whole(progress)
    assert sorted(row[0] for row in log(places)) == ["abandoned", "published", "published"]
    assert publish.current_version(places) == summary.version
    assert len({row[2] for row in log(places)}) == 1


def test_the_steps_one_by_one_come_to_the_same(places: Places, progress: Any, stage: Any) -> None:
    with run.started("ingest", progress, is_new=True) as this:
        run.ingest(this)
    with run.started("build", progress, is_new=False, builds=True) as this:
        run.build(this)
    with run.started("gate", progress, is_new=False) as this:
        verdict = run.judge(this, run.built_last(this))
    with run.started("publish", progress, is_new=False) as this:
        assert run.verdict_of(this).checks != []
        assert {check.name for check in run.verdict_of(this).checks} == {check.name for check in verdict.checks}
        version = run.make_public(this, run.verdict_of(this))
    assert publish.current_version(places) == version
    assert stage.alerts == []


@pytest.mark.parametrize("step", ["build", "gate", "publish"])
def test_a_step_before_its_turn_says_which_comes_first(progress: Any, step: Any) -> None:
    with pytest.raises(CannotRunError, match="lifecycle ingest"), run.started(step, progress, is_new=False):
        pass


def test_a_slip_in_the_playbook_is_said_before_any_silo_is_asked(
    places: Places, progress: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sheets.PROJECT / "seeds", tmp_path / "edited" / "seeds")
    actions = tmp_path / "edited" / "seeds" / "playbook" / "actions.csv"
    actions.write_text(actions.read_text().replace(",trial_started,", ",trial_startet,"))
    monkeypatch.setattr(sheets, "PROJECT", tmp_path / "edited")
    with pytest.raises(CannotRunError, match=r"actions\.csv, row 2, field signal_id: .*trial_startet"):
        whole(progress)
    assert not places.warehouse.exists()
    with run.started("ingest", progress, is_new=True) as this:
        assert this.run_id


def test_a_part_that_is_built_anew_hides_nothing_of_the_whole_and_is_judged_before_it_is_published(
    progress: Any, stage: Any, node: Any
) -> None:
    whole_nodes = stage.built.nodes
    failed = node("adds_up", "fail")
    part = dbt.Build([node("stg_stripe__products", "success", "model")], stage.built.freshness)
    with run.started("ingest", progress, is_new=True) as this:
        run.ingest(this)
    with run.started("build", progress, is_new=False, builds=True) as this:
        stage.built = part
        run.build(this, ("--select", "stg_stripe__products"))
        with pytest.raises(CannotRunError, match="`lifecycle build` comes before"):
            run.built_last(this)
        stage.built = dbt.Build([*whole_nodes, failed], part.freshness)
        run.build(this)
        stage.built = part
        run.build(this, ("--select", "stg_stripe__products"))
        verdict = run.judge(this, run.built_last(this))
        assert [check.subject for check in verdict.blocking] == ["adds_up"]
        stage.built = dbt.Build([replace(failed, status="pass")], part.freshness)
        assert len(run.build(this, ("--select", "adds_up")).nodes) == 1
        with pytest.raises(CannotRunError, match="last build was not judged yet"):
            run.verdict_of(this)
        assert run.judge(this, run.built_last(this)).is_open
        assert run.verdict_of(this).is_open


def test_a_build_that_breaks_off_leaves_nothing_to_judge(progress: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with run.started("ingest", progress, is_new=True) as this:
        run.ingest(this)
    with run.started("build", progress, is_new=False, builds=True) as this:
        run.build(this)
        run.judge(this, run.built_last(this))
        monkeypatch.setattr(type(this.models), "build", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.build(this)
        with pytest.raises(CannotRunError, match="`lifecycle build` comes before"):
            run.built_last(this)


def test_gate_and_publish_before_their_turn(progress: Any) -> None:
    with run.started("ingest", progress, is_new=True) as this:
        run.ingest(this)
        with pytest.raises(CannotRunError, match="`lifecycle build` comes before"):
            run.built_last(this)
        with pytest.raises(CannotRunError, match="`lifecycle gate` comes before"):
            run.verdict_of(this)


def test_a_plan_leaves_everything_as_it_is(places: Places, progress: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "policies", dict)
    monkeypatch.setattr(settings, "real_destinations", frozenset)
    monkeypatch.setattr(activate, "destinations", lambda _time: nullcontext({}))
    whole(progress)
    Ledger(places.ledger).close()
    before = places.ledger.read_bytes()
    answer = CliRunner().invoke(cli.app, ["plan", "--json"])
    assert answer.exit_code == 0, answer.output
    planned = json.loads(answer.stdout)
    assert (len(planned["deliveries"]), planned["as_of"]) == (3, AS_OF.isoformat())
    assert places.ledger.read_bytes() == before
    assert run.held_back(places) == [("celebrate", "no consent", 1)]


def test_a_warehouse_that_is_damaged_is_not_called_open_elsewhere(places: Places) -> None:
    places.warehouse.write_bytes(b"half of a file" * 1000)
    with pytest.raises(CannotRunError, match="is damaged: put back the copy"), run.warehouse(places):
        pass


def test_a_warehouse_that_is_open_elsewhere_is_said(places: Places) -> None:
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(places.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(CannotRunError, match="open in another program"), run.warehouse(places):
        pass
    other.communicate("")
    with run.warehouse(places) as connection:
        assert connection.execute("select 1").fetchone() == (1,)

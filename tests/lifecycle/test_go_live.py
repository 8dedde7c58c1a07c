"""Going live: what the record says, what an approval needs, and what a breach does."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from activation.plan import Policy
from lifecycle import activate, cli, go_live, settings
from lifecycle.go_live import record
from lifecycle.go_live.record import Entry, GoLiveError
from lifecycle.settings import Places

AS_OF = dt.datetime(2026, 3, 10, 6)  # noqa: DTZ001 - the warehouse's times are naive UTC
FIRST = dt.date(2026, 1, 1)


def decision(kind: str, until: str | None = None) -> Entry:
    return Entry(kind, str(AS_OF), "Ada", "because", until=until)


@pytest.mark.parametrize(
    ("entries", "is_live"),
    [
        ([], False),
        ([decision("approved")], True),
        ([decision("approved"), decision("breached")], False),
        ([decision("approved"), decision("breached"), decision("approved")], True),
        ([decision("overridden", "2026-03-10")], True),
        ([decision("overridden", "2026-03-09")], False),
        ([decision("overridden", "2026-03-31"), decision("withdrawn")], False),
        ([decision("approved"), decision("withdrawn")], False),
        ([decision("approved"), decision("breached"), decision("overridden", "2026-03-31")], True),
    ],
)
def test_the_last_word_decides(entries: list[Entry], is_live: bool) -> None:
    assert record.standing(entries, AS_OF.date()).is_live is is_live


def test_a_line_that_was_changed_or_taken_out_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "go_live.jsonl"
    for kind in ("approved", "breached", "approved"):
        record.append(path, decision(kind))
    assert [entry.kind for entry in record.read(path)] == ["approved", "breached", "approved"]
    whole = path.read_text().splitlines(keepends=True)
    for tampered in ("".join([whole[0], whole[2]]), whole[0].replace("Ada", "Eve") + whole[1], whole[0] + "x\n"):
        path.write_text(tampered)
        with pytest.raises(GoLiveError, match="line 2"):
            record.read(path)
    # the last line has none behind it to speak for it
    for tampered in ("", "".join(whole[:2]), "".join(whole[:2]) + whole[2].replace("Ada", "Eve")):
        path.write_text(tampered)
        with pytest.raises(GoLiveError, match=r"go_live.jsonl.*go_live.last"):
            record.append(path, decision("approved"))
    path.unlink()
    with pytest.raises(GoLiveError, match="restore it"):
        record.read(path)


def test_a_machine_that_stops_between_a_line_and_its_mark_leaves_a_record_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "go_live.jsonl"
    record.append(path, decision("approved"))
    mark = path.with_suffix(".last").read_text()
    record.append(path, decision("breached"))
    path.with_suffix(".last").write_text(mark)
    record.append(path, decision("approved"))
    assert [entry.kind for entry in record.read(path)] == ["approved", "breached", "approved"]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A data directory with a published file in which every metric has agreed for exactly as long as is asked."""
    monkeypatch.setenv("LIFECYCLE__CLOCK", "sandbox")
    found = Places(tmp_path)
    publish(found)
    return found


def publish(
    places: Places,
    *,
    broken: tuple[str, dt.date] | None = None,
    unjudged: str | None = None,
    restated: str | None = None,
    less: int = 0,
) -> None:
    """Publish verdicts: `broken` is a metric by day and the day on which it broke, judged at AS_OF.

    Of `unjudged` a day was missed, of `restated` the first day moved after it was closed.
    """
    path = places.published / "versions" / "v1" / "lifecycle.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        make_tables(connection, broken)
        for (metric, grain), required in needed().items():
            streak, before = 0, AS_OF - dt.timedelta(days=30)
            rows: list[tuple[object, ...]] = []
            for number in range(required - less):
                period = FIRST + dt.timedelta(days=number * (1 if grain == "day" else 31))
                is_within = (metric, period) != broken or grain != "day"
                streak = streak + 1 if is_within else 0
                verdict = ("within", True, 0, before) if is_within else ("outside", False, 9, AS_OF)
                status, _, unexplained, judged_at = verdict
                restated_at = AS_OF if (metric, grain, number) == (restated, "day", 0) else None
                told = (metric, grain, period, status, is_within, unexplained, 1, streak, judged_at)
                rows.append((*told, "r", "f", restated_at))
            # as columns: a statement for each row of sixty days and a dozen metrics takes half a second
            columns = ", ".join(f"unnest(${number})" for number in range(1, 13))
            connection.execute(
                f"insert into marts.validation_verdicts select {columns}",
                [list(column) for column in zip(*rows, strict=True)],
            )
            missed = FIRST + dt.timedelta(days=required) if (metric, grain) == (unjudged, "day") else None
            moved = FIRST if (metric, grain) == (restated, "day") else None
            sum_up(connection, metric, grain, streak=streak, required=required, missed=missed, moved=moved)
    link = places.published / "current"
    if not link.is_symlink():
        link.symlink_to(Path("versions") / "v1")
        places.published_file.symlink_to(Path("current") / "lifecycle.duckdb")


def make_tables(connection: duckdb.DuckDBPyConnection, broken: tuple[str, dt.date] | None) -> None:
    """What going live reads of the marts; of the break, the pattern in its differences."""
    connection.execute("create schema marts")
    connection.execute(
        "create table marts.publish_log as select $1::timestamp as as_of, 'published' as outcome", [AS_OF]
    )
    connection.execute(
        "create table marts.validation_verdicts (metric varchar, grain varchar, period date, status varchar,"
        " is_within boolean, unexplained decimal(18, 2), tolerance decimal(18, 2), streak bigint,"
        " judged_at timestamp, run_id varchar, fingerprint varchar, restated_at timestamp)"
    )
    connection.execute(
        "create table marts.validation_streaks (metric varchar, grain varchar, definition varchar, unit varchar,"
        " tolerance_share double, tolerance_absolute double, judged_after_days bigint, judged_within_days bigint,"
        " fixed_on date, fixed_by varchar, streak bigint, required_periods bigint, last_period date,"
        " gap_period date, restated_periods bigint, restated_period date, is_ready boolean, broken_period date,"
        " broken_status varchar, broken_unexplained decimal(18, 2), broken_tolerance decimal(18, 2),"
        " broken_judged_at timestamp)"
    )
    connection.execute(
        "create table marts.reconciliation as select $1 as metric, 'day' as grain, $2::date as period,"
        " 'of 3 amounts 3 differ' as pattern",
        list(broken or ("nothing", None)),
    )


def sum_up(connection: duckdb.DuckDBPyConnection, metric: str, grain: str, **told: object) -> None:
    """The row of a metric in validation_streaks, from its verdicts and what is told of its streak."""
    connection.execute(
        "insert into marts.validation_streaks by name select $metric as metric, $grain as grain,"
        " $streak as streak, $required as required_periods, max(period) as last_period,"
        " $missed::date as gap_period, $moved::date as restated_period,"
        " ($moved::date is not null)::bigint as restated_periods,"
        " $streak >= $required and $missed::date is null and $moved::date is null as is_ready,"
        " max(period) filter (where not is_within) as broken_period,"
        " any_value(status) filter (where not is_within) as broken_status,"
        " any_value(unexplained) filter (where not is_within) as broken_unexplained,"
        " any_value(tolerance) filter (where not is_within) as broken_tolerance,"
        " any_value(judged_at) filter (where not is_within) as broken_judged_at"
        " from marts.validation_verdicts where metric = $metric and grain = $grain",
        told | {"metric": metric, "grain": grain},
    )


def needed() -> dict[tuple[str, str], int]:
    with (settings.PROJECT_DIR / "seeds" / "validation" / "validation_metrics.csv").open(encoding="utf-8") as file:
        return {(row["metric"], row["grain"]): int(row["required_periods"]) for row in csv.DictReader(file)}


def test_the_criteria_ask_for_sixty_days_and_two_months() -> None:
    assert {(grain, number) for (_, grain), number in needed().items()} == {("day", 60), ("month", 2)}


def test_an_approval_rests_on_the_version_the_runs_and_the_figures(places: Places) -> None:
    entry = go_live.approve(places, by="Ada", evidence="the reconciliation of March, signed")
    assert entry.evidence["version"] == "v1"
    assert entry.evidence["run_ids"] == ["r"]
    assert entry.evidence["figures"] == sum(needed().values())
    assert len(entry.evidence["fingerprint"]) == 64
    assert go_live.standing(places, AS_OF).is_live


def test_one_period_too_few_is_refused_with_every_metric_named(places: Places) -> None:
    publish(places, less=1)
    with pytest.raises(GoLiveError, match=r"signups by day agreed 59 of 60 in a row"):
        go_live.approve(places, by="Ada", evidence="looks good")
    assert not places.go_live.exists()


def test_a_period_that_nobody_judged_in_time_ends_the_row(places: Places) -> None:
    publish(places, unjudged="payments")
    with pytest.raises(GoLiveError, match=r"^[^;]*payments by day was not judged in time for 2026-03-02\. An"):
        go_live.approve(places, by="Ada", evidence="looks good")


def test_a_closed_period_that_moved_is_told_and_explained_before_anybody_approves(places: Places) -> None:
    go_live.approve(places, by="Ada", evidence="signed")
    publish(places, restated="payments")
    (told,) = go_live.review(places, "run", AS_OF)
    assert told.startswith("validation: payments of 2026-01-01 agreed when it was closed and would not any more")
    assert go_live.standing(places, AS_OF).is_live, "no breach: the row did not break"
    with pytest.raises(GoLiveError, match=r"^[^;]*payments by day was restated: 2026-01-01 agreed"):
        go_live.approve(places, by="Ada", evidence="looks good")


def test_nothing_published_is_nothing_to_approve(tmp_path: Path) -> None:
    assert not go_live.status(Places(tmp_path)).may_be_approved
    with pytest.raises(GoLiveError, match="Nothing is published yet"):
        go_live.approve(Places(tmp_path), by="Ada", evidence="looks good")


def test_a_breach_after_the_approval_puts_back_into_shadow_mode_and_says_so(places: Places) -> None:
    assert go_live.review(places, "run", AS_OF) == []
    go_live.approve(places, by="Ada", evidence="signed")
    publish(places, broken=("payments", dt.date(2026, 2, 20)))
    told = go_live.review(places, "run", AS_OF)
    assert told[0] == (
        "validation: payments of 2026-02-20 differs by 9.00 that nobody explains, 1.00 would be tolerated"
        " (of 3 amounts 3 differ)"
    )
    assert "back in shadow mode" in told[1]
    assert not go_live.standing(places, AS_OF).is_live
    assert go_live.review(places, "run", AS_OF) == told[:1], "the record has it once"
    assert len(record.read(places.go_live)) == 2
    streaks = {(each.metric, each.grain): each for each in go_live.status(places).streaks}
    assert streaks["payments", "day"].periods == 9, "it begins again after the break"
    assert streaks["payments", "day"].last_break is not None
    assert streaks["signups", "day"].is_ready


def test_a_breach_that_its_run_did_not_come_to_write_down_holds_back_and_is_written_down_by_the_next(
    places: Places,
) -> None:
    go_live.approve(places, by="Ada", evidence="signed")
    publish(places, broken=("payments", dt.date(2026, 2, 20)))
    next_morning = AS_OF + dt.timedelta(days=1)
    for as_of in (AS_OF, next_morning):
        found = go_live.standing(places, as_of)
        assert not found.is_live, "killed between showing and writing down: nothing is sent all the same"
        assert "payments of 2026-02-20 differs by 9.00" in found.reason
    assert not go_live.status(places).standing.is_live
    told = go_live.review(places, "the next run", next_morning)
    assert "payments of 2026-02-20" in told[0]
    assert "back in shadow mode" in told[1]
    assert [entry.kind for entry in record.read(places.go_live)] == ["approved", "breached"]
    assert go_live.review(places, "the next run", next_morning) == []


def test_an_override_needs_a_name_a_reason_and_an_end_that_is_ahead(places: Places) -> None:
    publish(places, less=1)
    with pytest.raises(GoLiveError, match="--by"):
        go_live.override(places, by=" ", reason="launch", until=AS_OF.date())
    with pytest.raises(GoLiveError, match="--reason"):
        go_live.override(places, by="Ada", reason="", until=AS_OF.date())
    with pytest.raises(GoLiveError, match="before today"):
        go_live.override(places, by="Ada", reason="launch", until=dt.date(2026, 3, 9))
    go_live.override(places, by="Ada", reason="launch", until=AS_OF.date())
    assert go_live.standing(places, AS_OF).is_live
    assert not go_live.standing(places, AS_OF + dt.timedelta(days=1)).is_live, "it ends by itself"


def test_real_destinations_stay_in_shadow_mode_until_then_whatever_is_set(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        settings, "policies", lambda: {name: Policy(live=True, resends_changes=False) for name in ("make", "zendesk")}
    )
    monkeypatch.setattr(settings, "real_destinations", lambda: frozenset({"zendesk"}))
    assert {name: policy.live for name, policy in activate.policies(places, AS_OF).items()} == {
        "make": True,
        "zendesk": False,
    }
    go_live.approve(places, by="Ada", evidence="signed")
    assert all(policy.live for policy in activate.policies(places, AS_OF).values())
    publish(places, broken=("payments", dt.date(2026, 2, 20)))
    go_live.review(places, "run", AS_OF)
    assert not activate.policies(places, AS_OF)["zendesk"].live


def test_the_command_says_no_with_1_and_writes_down_a_yes(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "places", lambda: places)
    publish(places, less=1)
    command = ["go-live", "approve", "--by", "Ada", "--evidence", "signed", "--json"]
    refused = CliRunner().invoke(cli.app, command)
    assert refused.exit_code == 1
    assert "payments by day agreed 59 of 60" in refused.output
    publish(places)
    approved = CliRunner().invoke(cli.app, command)
    assert approved.exit_code == 0, approved.output
    assert [entry.by for entry in record.read(places.go_live)] == ["Ada"]
    nameless = CliRunner().invoke(cli.app, ["go-live", "withdraw", "--by", "", "--reason", "why", "--json"])
    assert nameless.exit_code == 2
    withdrawn = CliRunner().invoke(cli.app, ["go-live", "withdraw", "--by", "Ada", "--reason", "why", "--json"])
    assert withdrawn.exit_code == 0
    assert not go_live.standing(places, AS_OF).is_live

"""`lifecycle check`: the playbook as it stands can run, and no slip of a single row goes unseen."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from benchmarks.playbook_mutations import CHECK, LEAST, MUTATIONS, Mutation, caught, corrupted
from lifecycle.cli import app
from lifecycle.playbook import sheets
from lifecycle.playbook.diagram import replaced
from lifecycle.playbook.verdict import judge

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def playbook() -> sheets.Playbook:
    return sheets.read()


def test_the_playbook_as_it_stands_has_no_fault(playbook: sheets.Playbook) -> None:
    assert [str(finding) for finding in judge(playbook)] == []


def test_the_list_of_slips_is_long_enough() -> None:
    assert len({str(mutation) for mutation in MUTATIONS}) >= LEAST
    assert len([mutation for mutation in MUTATIONS if mutation.by == CHECK]) >= LEAST


@pytest.mark.parametrize("mutation", [each for each in MUTATIONS if each.by == CHECK], ids=str)
def test_a_slip_is_seen_where_it_was_made(playbook: sheets.Playbook, mutation: Any) -> None:
    found = caught(playbook, mutation)
    assert found, (
        f"nothing points at {mutation.expected}: {[str(each) for each in judge(corrupted(playbook, mutation))]}"
    )
    assert all(finding.problem and finding.fix for finding in found)


def test_our_own_figures_are_listened_to_though_the_product_never_sends_them(playbook: sheets.Playbook) -> None:
    slip = Mutation("behaviours", {"behaviour": "export_failed"}, {"event_name": "churn_risk", "grain": "measured"})
    assert [each for each in judge(corrupted(playbook, slip)) if each.field == "event_name"] == []


def test_a_message_names_file_row_and_field_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sheets.PROJECT / "seeds", tmp_path / "seeds")
    actions = tmp_path / "seeds" / "playbook" / "actions.csv"
    lines = actions.read_text().splitlines()
    where = next(number for number, line in enumerate(lines) if line.startswith("welcome_trial,"))
    lines[where] = lines[where].replace(",trial_started,", ",trial_startet,")
    lines.append("broken,row")
    actions.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(sheets, "PROJECT", tmp_path)

    done = CliRunner().invoke(app, ["check", "--json"])
    assert done.exit_code == 1
    found = {(each["row"], each["field"]): each for each in json.loads(done.stdout)["findings"]}
    slip = found[where + 1, "signal_id"]
    assert slip["file"] == "seeds/playbook/actions.csv"
    assert "'trial_startet'" in slip["problem"]
    assert slip["fix"] == "Did you mean 'trial_started'?"
    assert "2 fields" in found[len(lines), ""]["problem"]

    said = CliRunner().invoke(app, ["check"])
    assert said.exit_code == 1
    assert f"seeds/playbook/actions.csv, row {where + 1}, field signal_id: " in said.stdout


def test_the_picture_in_the_docs_is_that_of_the_seeds(playbook: sheets.Playbook) -> None:
    text = (sheets.PROJECT / "docs" / "playbook.md").read_text()
    assert text == replaced(text, playbook), "run: python -m lifecycle.playbook.diagram docs/playbook.md"

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import yaml

from lifecycle.gate import catalogue
from lifecycle.settings import PROJECT_DIR, ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(catalogue.FOLDER, tmp_path / "quality"))


def test_every_check_has_an_owner_that_exists_a_severity_and_a_reason() -> None:
    groups = {
        group["name"] for group in yaml.safe_load((PROJECT_DIR / "models" / "_groups.yml").read_text("utf-8"))["groups"]
    }
    kinds = catalogue.read().kinds
    assert {kind.owner for kind in kinds.values()} <= {*groups, ""}
    assert [kind.check_id for kind in kinds.values() if not kind.owner] == ["data_test"], "its model's group answers"
    assert all(len(kind.reason) > 20 for kind in kinds.values())


def test_every_check_has_its_place_on_the_page() -> None:
    page = (PROJECT_DIR / "docs" / "gates.md").read_text("utf-8")
    for kind in catalogue.read().kinds.values():
        assert f"| `{kind.check_id}` |" in page
        assert kind.reason in page


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            "labels,stripe,2026-11-01,2026-13-01,Ada,why",
            "accepted_exceptions.csv row 2: expires_on '2026-13-01' is no date",
        ),
        ("labels,stripe,2026-11-01,2028-11-01,Ada,why", "row 2: expires_on 2028-11-01 is not within 366 days"),
        ("labels,stripe,2026-11-02,2026-11-01,Ada,why", "row 2: expires_on 2026-11-01 is not within 366 days"),
        ("label,stripe,2026-11-01,2026-12-01,Ada,why", "row 2: check_id 'label' is no row of quality_checks.csv"),
        ("labels,stripe,2026-11-01,2026-12-01,,why", "row 2: accepted_by is empty"),
        ("labels,stripe,2026-11-01,2026-12-01,Ada", "row 2: it has not as many fields as the heading"),
        ("labels,stripe,2026-11-01,2026-12-01,Ada,why, really", "row 2: it has not as many fields as the heading"),
    ],
)
def test_an_exception_that_cannot_be_read_says_where_and_what_to_do(folder: Path, row: str, words: str) -> None:
    with (folder / "accepted_exceptions.csv").open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    with pytest.raises(ConfigurationError) as raised:
        catalogue.read(folder)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("severity", "fatal", "severity 'fatal' is none of"), ("blocks_at", "often", "blocks_at 'often' is no number"),
     ("severity_reason", "", "severity_reason is empty"), ("check_id", "labels", "check_id labels is there twice")],
)  # fmt: skip
def test_a_check_that_cannot_be_read_says_where(folder: Path, field: str, value: str, words: str) -> None:
    path = folder / "quality_checks.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0][field] = value
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ConfigurationError, match=words):
        catalogue.read(folder)

"""dbt by itself, as an analytics engineer runs it on the warehouse that the job left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.kills import published_numbers
from tests.warehouse import Warehouse, manifest

pytestmark = pytest.mark.end_to_end


def test_unit_tests_pass_and_plain_dbt_builds_without_touching_what_is_published(
    after_first_run: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(after_first_run, data_dir, symlinks=True)
    numbers = published_numbers(data_dir)
    warehouse = Warehouse(data_dir)
    tested = warehouse.dbt("test", "--select", "test_type:unit").results
    assert len(tested) == len(manifest().unit_tests) > 50, "the run tests the data, this tests the logic"
    warehouse.dbt("build", "--select", "mrr_movements")
    assert published_numbers(data_dir) == numbers, "nothing outside `publish` touches the published file"

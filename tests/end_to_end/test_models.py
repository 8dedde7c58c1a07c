"""dbt by itself, as an analytics engineer runs it on the warehouse that the job left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.job import Job
from tests.warehouse import Warehouse

from .conftest import published_numbers

pytestmark = pytest.mark.end_to_end


def test_unit_tests_pass_and_plain_dbt_builds_without_touching_what_is_published(ran: Callable[[], Job]) -> None:
    job = ran()
    numbers = published_numbers(job.data_dir)
    done = Warehouse(job.data_dir).dbt("build", "--select", "mrr_movements", "test_type:unit")
    tested = [result for result in done.results if result.node.resource_type == "unit_test"]
    assert len(tested) > 100, "the run tests the data, this tests the logic"
    assert published_numbers(job.data_dir) == numbers, "nothing outside `publish` touches the published file"

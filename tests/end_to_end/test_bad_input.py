"""What cannot be worked with from the start: settings that are missing or wrong, a silo that never answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.job import Job

from .conftest import disturb

pytestmark = pytest.mark.end_to_end


def test_a_silo_that_never_answered_shuts_the_gate(fresh: Callable[[], Job]) -> None:
    job = fresh()
    job.more_environment = {"DBT_RESOURCE_TYPES": "seed"}  # no model is needed to see that a silo is missing
    disturb(job, {"vendor": "stripe", "kind": "silo_down"})
    answer = job.ask("run", expect=1)
    assert {source["source"] for source in answer["sources"] if not source["ok"]} == {"stripe"}
    assert answer["version"] is None
    assert {check["check"] for check in answer["gate"]["blocking"]} == {"silo_is_fresh stripe"}
    assert not (job.data_dir / "published" / "lifecycle.duckdb").exists()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SOURCES__STRIPE__BASE_URL", "not an address", "base_url under [sources.stripe]"),
        ("LIFECYCLE__CLOCK", "sundial", "lifecycle.clock"),
        ("ACTIVATION__MAKE__SIGNING_SECRET", "too short", "activation.make.signing_secret"),
        ("SANDBOX__URL", "http://127.0.0.1:1", "sandbox"),
    ],
)
def test_a_wrong_setting_ends_with_one_sentence_that_names_it(
    tmp_path: Path, variable: str, value: str, words: str
) -> None:
    job = Job(tmp_path, more_environment={variable: value})
    done = job.call("run")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert value not in done.stderr or variable != "ACTIVATION__MAKE__SIGNING_SECRET"

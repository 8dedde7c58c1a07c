from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from lifecycle import dbt, gate

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
COLUMNS = [("customer_lifecycle", "customer_id", "VARCHAR"), ("customer_lifecycle", "mrr", "DECIMAL(18,2)")]
ANSWERED = {"stripe": None, "zendesk": None}


def judge(
    built: Any,
    errors: Any = ANSWERED,
    counts: Any = None,
    published: Any = None,
    columns: Any = COLUMNS,
    tolerance: Any = 0.2,
) -> Any:
    return gate.judge(built, errors, counts or {"customer_lifecycle": 200}, published or {}, columns, tolerance)


def failed(verdict: Any) -> Any:
    return {check.name for check in verdict.blocking}


def test_a_good_build_opens_the_gate_and_every_check_is_there(good_build: dbt.Build) -> None:
    verdict = judge(good_build)
    assert verdict.is_open
    assert {check.family for check in verdict.checks} == {
        "build", "test", "conservation", "extraction", "freshness", "volume", "shape",
    }  # fmt: skip
    assert verdict.passed == len(verdict.checks)


def test_a_failed_test_shuts_it_and_is_named_with_its_words(good_build: dbt.Build, node: Any) -> None:
    good_build.nodes.append(
        node("assert_mrr_adds_up", "fail", message="Got 7 results,\n configured to fail", failures=7)
    )
    verdict = judge(good_build)
    assert failed(verdict) == {"assert_mrr_adds_up"}
    assert "assert_mrr_adds_up (Got 7 results, configured to fail)" in verdict.reason()


def test_a_warning_is_recorded_and_does_not_shut_it(good_build: dbt.Build, node: Any) -> None:
    good_build.nodes.append(node("ratchet", "warn", severity="warn", failures=3))
    verdict = judge(good_build)
    assert verdict.is_open
    assert [check.name for check in verdict.warnings] == ["ratchet"]


def test_what_was_skipped_keeps_it_shut_and_the_cause_is_named_first(good_build: dbt.Build, node: Any) -> None:
    good_build.nodes[:] = [
        node("customer_lifecycle", "skipped", "model"),
        node("unique_customer_id", "skipped"),
        node("assert_cause", "fail"),
    ]
    verdict = judge(good_build)
    assert not verdict.is_open
    assert verdict.blocking[0].name == "assert_cause"
    assert verdict.reason().startswith("1 check(s) failed: assert_cause")


def test_a_model_that_was_not_built_shuts_it(good_build: dbt.Build, node: Any) -> None:
    good_build.nodes.append(node("mrr_movements", "error", "model", message="Binder Error"))
    assert {"model mrr_movements is built", "every model and seed is built"} == failed(judge(good_build))


def test_a_project_that_does_not_even_parse_shuts_it() -> None:
    verdict = judge(dbt.Build(problem="Compilation Error"))
    assert "the project builds (Compilation Error)" in verdict.reason()


def test_a_build_of_nothing_is_no_good_build() -> None:
    assert not judge(dbt.Build()).is_open


@pytest.mark.parametrize(
    ("status", "age", "is_open", "warns"), [("pass", 1, True, 0), ("warn", 20, True, 1), ("error", 30, False, 0)]
)
def test_freshness_is_judged_by_the_oldest_table_of_a_silo(
    good_build: dbt.Build, status: Any, age: Any, is_open: Any, warns: Any
) -> None:
    good_build.freshness.append(dbt.Freshness("stripe", "invoices", status, age, 26.0))
    verdict = judge(good_build)
    assert verdict.is_open is is_open
    assert len(verdict.warnings) == warns


def test_a_silo_that_never_answered_shuts_it(good_build: dbt.Build) -> None:
    good_build.freshness.append(dbt.Freshness("bitrix24", "deals", "error", 498_000.0, 26.0))
    assert "bitrix24 is fresh (never loaded, allowed is at most 26 hours)" in judge(good_build).reason()


def test_a_silo_that_is_down_within_its_tolerance_is_a_warning(good_build: dbt.Build) -> None:
    verdict = judge(good_build, errors={"stripe": "It does not answer.", "zendesk": None})
    assert verdict.is_open
    assert [(check.name, check.message) for check in verdict.warnings] == [("stripe answered", "It does not answer.")]


@pytest.mark.parametrize(("now", "is_open"), [(800, True), (799, False), (0, False), (5000, True)])
def test_a_mart_may_lose_a_fifth_of_its_rows_and_no_more(good_build: dbt.Build, now: Any, is_open: Any) -> None:
    verdict = judge(good_build, counts={"customer_lifecycle": now}, published={"customer_lifecycle": 1000})
    assert verdict.is_open is is_open


def test_a_mart_that_is_gone_shuts_it(good_build: dbt.Build) -> None:
    verdict = judge(good_build, published={"customer_lifecycle": 200, "signals": 50})
    assert failed(verdict) == {"signals keeps its rows"}


@pytest.mark.parametrize("kind", ["DECIMAL(38,2)", "VARCHAR[]", "STRUCT(a INTEGER)", "HUGEINT", "JSON"])
def test_a_type_that_bi_tools_refuse_shuts_it(good_build: dbt.Build, kind: Any) -> None:
    verdict = judge(good_build, columns=[*COLUMNS, ("signals", "proof", kind)])
    assert failed(verdict) == {"public columns have types that BI tools read"}
    assert f"signals.proof {kind}" in verdict.reason()


def test_judging_again_replaces_the_rows_of_the_same_run(good_build: dbt.Build) -> None:
    verdict = judge(good_build)
    first = gate.as_rows(verdict, "run-1", AS_OF, AS_OF)
    assert len({row["check_id"] for row in first}) == len(first)
    again = gate.as_rows(
        gate.Verdict([replace(check, outcome="fail") for check in verdict.checks]), "run-1", AS_OF, AS_OF
    )
    assert [row["check_id"] for row in again] == [row["check_id"] for row in first]
    other = gate.as_rows(verdict, "run-2", AS_OF, AS_OF)
    assert not {row["check_id"] for row in other} & {row["check_id"] for row in first}

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lifecycle import dbt, gate
from lifecycle.gate import catalogue
from tests.warehouse import Warehouse

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
COLUMNS = [("customer_lifecycle", "customer_id", "VARCHAR"), ("customer_lifecycle", "mrr", "DECIMAL(18,2)")]
ANSWERED = {"stripe": None, "zendesk": None}


CATALOGUE = catalogue.read()


def judge(
    built: Any,
    errors: Any = ANSWERED,
    counts: Any = None,
    published: Any = None,
    columns: Any = COLUMNS,
    tolerance: Any = 0.2,
    *,
    findings: Any = (),
    raw_columns: Any = None,
    exceptions: Any = (),
) -> Any:
    read = gate.Readings(
        errors, counts or {"customer_lifecycle": 200}, published or {}, columns, raw_columns or {"stripe": []}, findings
    )
    agreed = catalogue.Catalogue(CATALOGUE.kinds, tuple(exceptions))
    return gate.judge(built, read, agreed, tolerance, AS_OF)


def failed(verdict: Any) -> Any:
    return {check.name for check in verdict.blocking}


def test_a_good_build_opens_the_gate_and_every_check_is_there(good_build: dbt.Build) -> None:
    verdict = judge(good_build)
    assert verdict.is_open
    assert {check.family for check in verdict.checks} == {
        "build", "test", "conservation", "extraction", "freshness", "volume", "schema",
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
    assert {"model_is_built model mrr_movements", "model_is_built every model and seed"} == failed(judge(good_build))


def test_a_project_that_does_not_even_parse_shuts_it() -> None:
    verdict = judge(dbt.Build(problem="Compilation Error"))
    assert "model_is_built the project (Compilation Error)" in verdict.reason()


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
    assert "silo_is_fresh bitrix24 (never loaded, allowed is at most 26 hours)" in judge(good_build).reason()


def test_a_silo_that_never_answered_is_what_dbt_measures_on_tables_without_a_row(
    good_build: dbt.Build, tmp_path: Path
) -> None:
    """As after a first run with the billing system down: what it loaded elsewhere is fresh, nothing may be shown."""
    warehouse = Warehouse(tmp_path)
    warehouse.stand_at(AS_OF)
    answer = {"as_of": AS_OF, "data_through_at": AS_OF, "status": "succeeded"}
    refusal = {"as_of": AS_OF, "status": "failed", "error": "It does not answer."}
    warehouse.insert(
        "raw_ops.extracts",
        [
            {"extract_id": "1", "source": "zendesk", **answer},
            {"extract_id": "2", "source": "stripe", **refusal},
        ],
    )
    asked = ("source:zendesk.tickets", "source:stripe.invoices")
    measured = warehouse.dbt("source", "freshness", "--select", *asked, may_fail=True).results
    good_build.freshness[:] = [dbt.Freshness(**dbt._freshness(each)) for each in measured]
    verdict = judge(good_build, errors={"stripe": "It does not answer.", "zendesk": None})
    assert failed(verdict) == {"silo_is_fresh stripe"}
    assert "silo_is_fresh stripe (never loaded" in verdict.reason()


def test_a_silo_that_is_down_within_its_tolerance_is_a_warning(good_build: dbt.Build) -> None:
    verdict = judge(good_build, errors={"stripe": "It does not answer.", "zendesk": None})
    assert verdict.is_open
    assert [(check.name, check.message) for check in verdict.warnings] == [
        ("silo_answered stripe", "It does not answer.")
    ]


@pytest.mark.parametrize(("now", "is_open"), [(800, True), (799, False), (0, False), (5000, True)])
def test_a_mart_may_lose_a_fifth_of_its_rows_and_no_more(good_build: dbt.Build, now: Any, is_open: Any) -> None:
    verdict = judge(good_build, counts={"customer_lifecycle": now}, published={"customer_lifecycle": 1000})
    assert verdict.is_open is is_open


def test_a_mart_that_is_gone_shuts_it(good_build: dbt.Build) -> None:
    verdict = judge(good_build, published={"customer_lifecycle": 200, "signals": 50})
    assert failed(verdict) == {"mart_keeps_rows signals"}


@pytest.mark.parametrize("kind", ["DECIMAL(38,2)", "VARCHAR[]", "STRUCT(a INTEGER)", "HUGEINT", "JSON"])
def test_a_type_that_bi_tools_refuse_shuts_it(good_build: dbt.Build, kind: Any) -> None:
    verdict = judge(good_build, columns=[*COLUMNS, ("signals", "proof", kind)])
    assert failed(verdict) == {"readable_types public columns"}
    assert f"signals.proof {kind}" in verdict.reason()


def test_judging_again_replaces_the_rows_of_the_same_run(good_build: dbt.Build) -> None:
    verdict = judge(good_build)
    first = gate.as_rows(verdict, "run-1", AS_OF, AS_OF)
    assert len({row["result_id"] for row in first}) == len(first)
    again = gate.as_rows(
        gate.Verdict([replace(check, outcome="block") for check in verdict.checks]), "run-1", AS_OF, AS_OF
    )
    assert [row["result_id"] for row in again] == [row["result_id"] for row in first]
    other = gate.as_rows(verdict, "run-2", AS_OF, AS_OF)
    assert not {row["result_id"] for row in other} & {row["result_id"] for row in first}


def finding(outcome: str, severity: str, check_id: str = "labels", subject: str = "stripe.invoices") -> gate.Check:
    return gate.Check(check_id, subject, outcome, "eur: 0 %", family="distribution", owner="quality", severity=severity)


@pytest.mark.parametrize(
    ("outcome", "severity", "is_open", "warns"),
    [("pass", "block", True, 0), ("warn", "block", True, 1), ("quarantine", "quarantine", True, 1),
     ("block", "block", False, 0), ("block", "quarantine", False, 0), ("accepted", "block", True, 0)],
)  # fmt: skip
def test_what_the_warehouse_found_keeps_its_outcome(
    good_build: dbt.Build, outcome: str, severity: str, is_open: bool, warns: int
) -> None:
    verdict = judge(good_build, findings=[finding(outcome, severity)])
    assert (verdict.is_open, len(verdict.warnings)) == (is_open, warns)
    assert verdict.checks[-1].owner == "quality"


def accepted(check_id: str, subject: str, expires_on: str) -> catalogue.AcceptedException:
    return catalogue.AcceptedException(check_id, subject, datetime.fromisoformat(expires_on).date(), "Ada", "known")


@pytest.mark.parametrize(("expires_on", "is_open"), [("2026-11-01", True), ("2026-10-31", False)])
def test_an_accepted_exception_opens_the_gate_until_its_day_is_over(
    good_build: dbt.Build, node: Any, expires_on: str, is_open: bool
) -> None:
    good_build.nodes.append(node("assert_mrr_adds_up", "fail", message="Got 7 results", failures=7))
    verdict = judge(good_build, exceptions=[accepted("data_test", "assert_mrr_adds_up", expires_on)])
    assert verdict.is_open is is_open
    (check,) = [check for check in verdict.checks if check.subject == "assert_mrr_adds_up"]
    assert check.outcome == ("accepted" if is_open else "block")
    assert ("by Ada: known" in check.message) is is_open


def test_an_exception_for_one_thing_is_none_for_another(good_build: dbt.Build) -> None:
    verdict = judge(
        good_build,
        counts={"customer_lifecycle": 10},
        published={"customer_lifecycle": 200},
        exceptions=[
            accepted("mart_keeps_rows", "signals", "2026-12-01"),
            accepted("data_test", "customer_lifecycle", "2026-12-01"),
        ],
    )
    assert failed(verdict) == {"mart_keeps_rows customer_lifecycle"}


def test_a_test_belongs_to_the_group_of_its_model(good_build: dbt.Build, node: Any) -> None:
    good_build.nodes.append(node("grain_mrr_movements", "fail", group="billing"))
    assert [check.owner for check in judge(good_build).blocking] == ["billing"]


def test_a_column_that_came_or_went_is_flagged_by_name(good_build: dbt.Build) -> None:
    verdict = judge(good_build, raw_columns={"stripe": ["invoices.tax (BIGINT) is new"], "zendesk": []})
    assert verdict.is_open
    assert [(check.name, check.message) for check in verdict.warnings] == [
        ("columns_stay stripe", "invoices.tax (BIGINT) is new")
    ]

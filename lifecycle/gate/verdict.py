"""Whether the numbers may be shown: every check a row, and one question at the end.

The checks: what the warehouse found in its raw tables and figures (`quality_findings`), what dbt tested (conservation
laws among them), how old each silo is at as_of (the tolerances stand with the sources), whether each silo answered this
time, whether a mart lost more rows than can be right, whether raw tables have the columns they had, and whether every
public column has a type that BI tools can read. Who answers for a check and what its failing leads to stands in
`seeds/quality`: it may block the publication, warn, or say that rows were set aside.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lifecycle.dbt import GOOD_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from lifecycle.dbt import Build, Freshness, Node
    from lifecycle.gate.catalogue import Catalogue

SMALLEST_MART = 100  # below this many rows, losing a fifth of them means nothing
# what may be empty, or shorter than it was, in a good version: logs, lists of faults, and what nobody has filled yet
MAY_BE_EMPTY = frozenset(
    {
        "publish_log",
        "gate_results",
        "experiment_results",
        "reconciliation",
        "quality_findings",
        "cross_silo_contradictions",
    }
)
UNREADABLE_TYPES = ("[]", "STRUCT", "MAP", "UNION", "HUGEINT", "JSON", "BLOB", "BIT")  # Tableau's engine refuses these
FAILED = frozenset({"block", "warn", "quarantine"})


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a run.

    `check_id` is its row in the catalogue, `subject` what it looked at. `outcome` is pass, block, warn, quarantine
    (rows were set aside, the rest is good), accepted (it fails, and somebody took that on), or skip (not looked at,
    because what it looks at was not built).
    """

    check_id: str
    subject: str
    outcome: str
    message: str = ""
    family: str = ""
    owner: str = ""
    severity: str = ""
    silo: str | None = None
    observed: str | None = None
    expected: str | None = None

    @property
    def name(self) -> str:
        """What it is called in sentences: a test by its own name, everything else by check and subject."""
        return self.subject if self.check_id == "data_test" else f"{self.check_id} {self.subject}"

    @property
    def blocks(self) -> bool:
        """Whether this alone keeps the numbers from being published."""
        return self.outcome == "block" or (self.outcome == "skip" and self.severity == "block")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer."""

    checks: list[Check]

    @property
    def is_open(self) -> bool:
        """Whether the numbers may be published."""
        return not self.blocking

    @property
    def blocking(self) -> list[Check]:
        """What keeps the gate shut; what was only skipped because of it comes last."""
        found = [check for check in self.checks if check.blocks]
        return sorted(found, key=lambda check: (check.outcome == "skip", check.family, check.name))

    @property
    def warnings(self) -> list[Check]:
        """What failed without blocking, rows that were set aside among it."""
        return [check for check in self.checks if check.outcome in {"warn", "quarantine"}]

    @property
    def passed(self) -> int:
        """How many checks passed."""
        return sum(check.outcome == "pass" for check in self.checks)

    def reason(self) -> str:
        """One sentence that names what failed."""
        causes = [check for check in self.blocking if check.outcome != "skip"] or self.blocking
        named = "; ".join(f"{check.name} ({check.message})" if check.message else check.name for check in causes[:5])
        more = f"; and {len(causes) - 5} more" if len(causes) > 5 else ""
        return f"{len(causes)} check(s) failed: {named}{more}."


@dataclass(frozen=True, slots=True)
class Readings:
    """What is known after a build.

    `extraction_errors` has every silo that was asked, with its error or None. `counts` are rows per mart now,
    `published_counts` those of the version that serves. `columns` are (mart, column, type) of what is public,
    `raw_columns` per silo what its tables have more or less than when they were last published, as sentences.
    `findings` are checks that the warehouse judged itself.
    """

    extraction_errors: Mapping[str, str | None]
    counts: Mapping[str, int]
    published_counts: Mapping[str, int]
    columns: Iterable[tuple[str, str, str]]
    raw_columns: Mapping[str, Iterable[str]]
    findings: Iterable[Check]


def judge(built: Build, read: Readings, catalogue: Catalogue, shrink_tolerance: float, as_of: datetime) -> Verdict:
    """The verdict over everything known after a build. Pure; what is read, the callers read."""
    checks = [
        *_built(built),
        *_answered(read.extraction_errors),
        *_fresh(built.freshness),
        *_sized(read.counts, read.published_counts, shrink_tolerance),
        *_readable(read.columns),
        *_same_columns(read.raw_columns),
        *read.findings,
    ]
    return Verdict([_decided(check, catalogue, as_of) for check in checks])


def _decided(check: Check, catalogue: Catalogue, as_of: datetime) -> Check:
    """The check with its owner and severity, and with what its failing leads to."""
    kind = catalogue.kinds[check.check_id]
    named = replace(
        check,
        family=check.family or kind.family,
        owner=check.owner or kind.owner or "quality",
        severity=check.severity or kind.severity,
    )
    if named.outcome == "fail":
        named = replace(named, outcome="block" if named.severity == "block" else "warn")
    accepted = catalogue.accepted(check.check_id, check.subject, as_of.date()) if named.outcome in FAILED else None
    if accepted is None:
        return named
    said = f"accepted until {accepted.expires_on} by {accepted.accepted_by}: {accepted.reason}"
    return replace(named, outcome="accepted", message=f"{named.message}; {said}" if named.message else said)


def as_rows(verdict: Verdict, run_id: str, as_of: datetime, checked_at: datetime) -> list[dict[str, Any]]:
    """Rows of raw_ops.gate_checks. The id is made of run and check, so that repeating a gate replaces its rows."""
    return [
        {
            "result_id": hashlib.sha256(f"{run_id} {check.check_id} {check.subject}".encode()).hexdigest()[:32],
            "run_id": run_id,
            "as_of": as_of,
            "check_id": check.check_id,
            "check_name": check.name,
            "subject": check.subject,
            "family": check.family,
            "silo": check.silo,
            "owner": check.owner,
            "severity": check.severity,
            "outcome": check.outcome,
            "observed": check.observed,
            "expected": check.expected,
            "message": check.message,
            "checked_at": checked_at,
        }
        for check in verdict.checks
    ]


def _built(built: Build) -> list[Check]:
    if built.problem:
        return [Check("model_is_built", "the project", "fail", built.problem)]
    models = [node for node in built.nodes if node.resource_type != "test"]
    checks = [_model(node) for node in models if node.status not in GOOD_STATUSES]
    outcome = "pass" if models and not checks else "fail"
    if checks and all(check.outcome == "skip" for check in checks):
        outcome = "skip"  # the test that made dbt skip them is the one to name
    good = sum(node.status in GOOD_STATUSES for node in models)
    checks.append(
        Check(
            "model_is_built",
            "every model and seed",
            outcome,
            "" if outcome == "pass" else f"{good} of {len(models)}",
            observed=str(good),
            expected=str(len(models)),
        )
    )
    return checks + [_test(node) for node in built.nodes if node.resource_type == "test"]


def _model(node: Node) -> Check:
    outcome = "skip" if node.status == "skipped" else "fail"
    return Check(
        "model_is_built", f"{node.resource_type} {node.name}", outcome, _first_line(node.message), owner=node.group
    )


def _test(node: Node) -> Check:
    family = "conservation" if "conserve" in node.name else "test"
    made = Check("data_test", node.name, "pass", family=family, owner=node.group, observed="0", expected="0")
    if node.status == "pass":
        return replace(made, severity="warn" if node.severity == "warn" else "")
    if node.status == "skipped":
        return replace(made, outcome="skip", message="Not run, because what it looks at was not built.", observed=None)
    # a test of severity error may stay below its error_if: dbt then says warn, and that is what it is worth
    severity = "warn" if node.status == "warn" else ""
    return replace(
        made, outcome="fail", severity=severity, message=_first_line(node.message), observed=str(node.failures)
    )


def _first_line(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= 300 else text[:299] + "…"


def _answered(errors: Mapping[str, str | None]) -> list[Check]:
    return [
        Check("silo_answered", silo, "fail" if error else "pass", error or "", silo=silo)
        for silo, error in sorted(errors.items())
    ]


def _fresh(measured: Iterable[Freshness]) -> list[Check]:
    """One check per silo: its oldest table."""
    oldest: dict[str, Freshness] = {}
    for each in measured:
        known = oldest.get(each.source)
        if known is None or _age(each) > _age(known):
            oldest[each.source] = each
    return [_freshness(each) for _, each in sorted(oldest.items())]


def _age(measured: Freshness) -> float:
    return float("inf") if measured.age_hours is None else measured.age_hours


def _freshness(measured: Freshness) -> Check:
    age = _age(measured)
    allowed = f"at most {measured.allowed_hours:g} hours" if measured.allowed_hours else None
    is_unloaded = age > 24 * 365 * 20  # the watermark of a silo that never answered is the epoch
    observed = "never loaded" if is_unloaded else f"{age:.1f} hours"
    good = measured.status == "pass"
    said = f"never loaded, allowed is {allowed}" if is_unloaded else f"{observed} old, {allowed} allowed"
    return Check(
        "silo_is_fresh",
        measured.source,
        "pass" if good else "fail",
        "" if good else said,
        severity="warn" if measured.status == "warn" else "",
        silo=measured.source,
        observed=observed,
        expected=allowed,
    )


def _sized(counts: Mapping[str, int], published: Mapping[str, int], tolerance: float) -> list[Check]:
    checks = []
    for mart in sorted(set(counts) | set(published)):
        now, before = counts.get(mart, 0), published.get(mart, 0)
        if mart in MAY_BE_EMPTY:
            continue
        least = round(before * (1 - tolerance)) if before >= SMALLEST_MART else min(before, 1)
        checks.append(
            Check(
                "mart_keeps_rows",
                mart,
                "pass" if now >= least else "fail",
                "" if now >= least else f"{now} rows, the version that serves has {before}",
                observed=str(now),
                expected=f"at least {least}",
            )
        )
    return checks


def _readable(columns: Iterable[tuple[str, str, str]]) -> list[Check]:
    bad = [f"{mart}.{column} {kind}" for mart, column, kind in columns if _is_unreadable(kind)]
    return [
        Check(
            "readable_types",
            "public columns",
            "fail" if bad else "pass",
            ", ".join(bad[:10]),
            observed=str(len(bad)),
            expected="0",
        )
    ]


def _is_unreadable(kind: str) -> bool:
    if kind.startswith("DECIMAL("):
        return int(kind[8:].split(",", maxsplit=1)[0]) > 18
    return any(part in kind for part in UNREADABLE_TYPES)


def _same_columns(changed: Mapping[str, Iterable[str]]) -> list[Check]:
    """One check per silo; `changed` has what is new or gone of its raw tables, as sentences."""
    checks = []
    for silo, sentences in sorted(changed.items()):
        said = list(sentences)
        checks.append(
            Check(
                "columns_stay",
                silo,
                "fail" if said else "pass",
                "; ".join(said[:10]),
                silo=silo,
                observed=str(len(said)),
                expected="0",
            )
        )
    return checks

"""Whether the numbers may be shown: every check a row, and one question at the end.

The checks: what dbt tested (conservation laws among them), how old each silo is at as_of (the tolerances stand with
the sources), whether each silo answered this time, whether a mart lost more rows than can be right, and whether every
public column has a type that BI tools can read. A check of severity `error` that fails blocks the publication.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle.dbt import GOOD_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import duckdb

    from lifecycle.dbt import Build, Freshness, Node

SMALLEST_MART = 100  # below this many rows, losing a fifth of them means nothing
MAY_BE_EMPTY = frozenset({"publish_log", "gate_results", "experiment_results", "reconciliation"})
UNREADABLE_TYPES = ("[]", "STRUCT", "MAP", "UNION", "HUGEINT", "JSON", "BLOB", "BIT")  # Tableau's engine refuses these


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `severity` is error or warn, `outcome` is pass, fail or skip; `silo` where it is about one."""

    name: str
    family: str
    severity: str
    outcome: str
    message: str = ""
    silo: str | None = None
    observed: str | None = None
    expected: str | None = None

    @property
    def blocks(self) -> bool:
        """Whether this alone keeps the numbers from being published."""
        return self.severity == "error" and self.outcome != "pass"


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
        """What failed without blocking."""
        return [check for check in self.checks if check.outcome == "fail" and check.severity == "warn"]

    @property
    def passed(self) -> int:
        """How many checks passed."""
        return sum(check.outcome == "pass" for check in self.checks)

    def reason(self) -> str:
        """One sentence that names what failed."""
        causes = [check for check in self.blocking if check.outcome == "fail"] or self.blocking
        named = "; ".join(f"{check.name} ({check.message})" if check.message else check.name for check in causes[:5])
        more = f"; and {len(causes) - 5} more" if len(causes) > 5 else ""
        return f"{len(causes)} check(s) failed: {named}{more}."


def judge(
    built: Build,
    extraction_errors: Mapping[str, str | None],
    counts: Mapping[str, int],
    published_counts: Mapping[str, int],
    columns: Iterable[tuple[str, str, str]],
    shrink_tolerance: float,
) -> Verdict:
    """The verdict over everything known after a build. Pure; the arguments are read by the callers.

    `extraction_errors` has every silo that was asked, with its error or None. `counts` are rows per mart now,
    `published_counts` those of the version that serves. `columns` are (mart, column, type).
    """
    checks = [
        *_built(built),
        *_answered(extraction_errors),
        *_fresh(built.freshness),
        *_sized(counts, published_counts, shrink_tolerance),
        *_readable(columns),
    ]
    return Verdict(checks)


def as_rows(verdict: Verdict, run_id: str, as_of: datetime, checked_at: datetime) -> list[dict[str, Any]]:
    """Rows of raw_ops.gate_checks. The id is made of run and check, so that repeating a gate replaces its rows."""
    return [
        {
            "check_id": hashlib.sha256(f"{run_id} {check.family} {check.name}".encode()).hexdigest()[:32],
            "run_id": run_id,
            "as_of": as_of,
            "check_name": check.name,
            "family": check.family,
            "silo": check.silo,
            "severity": check.severity,
            "outcome": check.outcome,
            "observed": check.observed,
            "expected": check.expected,
            "message": check.message,
            "checked_at": checked_at,
        }
        for check in verdict.checks
    ]


def count_marts(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, int]:
    """Rows per relation of the schema marts in one attached database; empty if there is no such schema."""
    names = connection.execute(
        "select table_name from information_schema.tables"
        " where table_catalog = ? and table_schema = 'marts' order by table_name",
        [database],
    ).fetchall()
    return {name: _only(connection, f'select count(*) from "{database}".marts."{name}"') for (name,) in names}


def mart_columns(connection: duckdb.DuckDBPyConnection, database: str) -> list[tuple[str, str, str]]:
    """(mart, column, type) of everything public in one attached database."""
    return connection.execute(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_catalog = ? and table_schema = 'marts' order by all",
        [database],
    ).fetchall()


def _only(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _built(built: Build) -> list[Check]:
    if built.problem:
        return [Check("the project builds", "build", "error", "fail", built.problem)]
    models = [node for node in built.nodes if node.resource_type != "test"]
    checks = [_model(node) for node in models if node.status not in GOOD_STATUSES]
    outcome = "pass" if models and not checks else "fail"
    if checks and all(check.outcome == "skip" for check in checks):
        outcome = "skip"  # the test that made dbt skip them is the one to name
    good = sum(node.status in GOOD_STATUSES for node in models)
    checks.append(
        Check(
            "every model and seed is built",
            "build",
            "error",
            outcome,
            "" if outcome == "pass" else f"{good} of {len(models)}",
            observed=str(good),
            expected=str(len(models)),
        )
    )
    return checks + [_test(node) for node in built.nodes if node.resource_type == "test"]


def _model(node: Node) -> Check:
    outcome = "skip" if node.status == "skipped" else "fail"
    return Check(f"{node.resource_type} {node.name} is built", "build", "error", outcome, _first_line(node.message))


def _test(node: Node) -> Check:
    family = "conservation" if "conserve" in node.name else "test"
    if node.status == "pass":
        return Check(node.name, family, node.severity or "error", "pass", observed="0", expected="0")
    if node.status == "skipped":
        return Check(node.name, family, "error", "skip", "Not run, because what it looks at was not built.")
    # a test of severity error may stay below its error_if: dbt then says warn, and that is what it is worth
    severity = "warn" if node.status == "warn" else "error"
    return Check(
        node.name, family, severity, "fail", _first_line(node.message), observed=str(node.failures), expected="0"
    )


def _first_line(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= 300 else text[:299] + "…"


def _answered(errors: Mapping[str, str | None]) -> list[Check]:
    return [
        Check(
            f"{silo} answered",
            "extraction",
            "warn",
            "fail" if error else "pass",
            error or "",
            silo=silo,
        )
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
    return Check(
        f"{measured.source} is fresh",
        "freshness",
        "warn" if measured.status in {"pass", "warn"} else "error",
        "pass" if good else "fail",
        ""
        if good
        else (f"never loaded, allowed is {allowed}" if is_unloaded else f"{observed} old, {allowed} allowed"),
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
                f"{mart} keeps its rows",
                "volume",
                "error",
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
            "public columns have types that BI tools read",
            "shape",
            "error",
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

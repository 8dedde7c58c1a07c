"""What the gate may ask, who answers for it and what it leads to: `seeds/quality`, read and judged before a run.

Read from the files and not from the warehouse: a build that failed leaves seeds behind that nobody knows the age of,
and the gate has to say so with the owners and reasons of today.
"""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.errors import ConfigurationError
from lifecycle.settings import PROJECT_DIR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = PROJECT_DIR / "seeds" / "quality"
SEVERITIES = ("block", "quarantine", "warn")
LONGEST_DAYS = 366  # an exception that never ends is a definition, and belongs into one


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One row of quality_checks: `severity` is the worst it leads to, `reason` why."""

    check_id: str
    family: str
    owner: str
    severity: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class AcceptedException:
    """One row of accepted_exceptions: a failing of `check_id` on `subject` that is accepted through `expires_on`."""

    check_id: str
    subject: str
    expires_on: dt.date
    accepted_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Both seeds."""

    kinds: Mapping[str, CheckKind]
    exceptions: tuple[AcceptedException, ...]

    def accepted(self, check_id: str, subject: str, today: dt.date) -> AcceptedException | None:
        """The exception that is in force for a failing check, if there is one."""
        found = [
            each
            for each in self.exceptions
            if (each.check_id, each.subject) == (check_id, subject) and each.expires_on >= today
        ]
        return max(found, key=lambda each: each.expires_on, default=None)


def read(folder: Path = FOLDER) -> Catalogue:
    """Both seeds, judged row by row.

    Raises:
        ConfigurationError: naming file, row, field and what to do.
    """
    kinds: dict[str, CheckKind] = {}
    for where, row in _rows(folder / "quality_checks.csv"):
        if row["check_id"] in kinds:
            raise ConfigurationError(f"{where}: check_id {row['check_id']} is there twice; keep one of the rows.")
        if row["severity"] not in SEVERITIES:
            raise ConfigurationError(
                f"{where}: severity '{row['severity']}' is none of {', '.join(SEVERITIES)}; choose one."
            )
        if row["severity"] != "warn" and not _is_positive(row["blocks_at"]):
            raise ConfigurationError(
                f"{where}: blocks_at '{row['blocks_at']}' is no number above 0; say when it blocks."
            )
        _need(where, row, "family", "question", "severity_reason", "remedy")
        kinds[row["check_id"]] = CheckKind(
            row["check_id"], row["family"], row["owner"], row["severity"], row["severity_reason"], row["remedy"]
        )
    exceptions = []
    for where, row in _rows(folder / "accepted_exceptions.csv"):
        if row["check_id"] not in kinds:
            raise ConfigurationError(f"{where}: check_id '{row['check_id']}' is no row of quality_checks.csv; mend it.")
        _need(where, row, "subject", "accepted_by", "reason")
        accepted_on, expires_on = (_date(where, row, field) for field in ("accepted_on", "expires_on"))
        if not 0 <= (expires_on - accepted_on).days <= LONGEST_DAYS:
            raise ConfigurationError(
                f"{where}: expires_on {expires_on} is not within {LONGEST_DAYS} days after accepted_on; give a day on"
                " which somebody looks again."
            )
        exceptions.append(
            AcceptedException(row["check_id"], row["subject"], expires_on, row["accepted_by"], row["reason"])
        )
    return Catalogue(kinds, tuple(exceptions))


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows with where they stand, as 'file row n'."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                if None in row or None in row.values():
                    raise ConfigurationError(
                        f"{path.name} row {number}: it has not as many fields as the heading; quote texts with commas."
                    )
                yield f"{path.name} row {number}", {name: value.strip() for name, value in row.items()}
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); the gate does not open without it."
        ) from None


def _need(where: str, row: Mapping[str, str], *fields: str) -> None:
    for field in fields:
        if not row[field]:
            raise ConfigurationError(f"{where}: {field} is empty; fill it in.")


def _date(where: str, row: Mapping[str, str], field: str) -> dt.date:
    try:
        return dt.date.fromisoformat(row[field])
    except ValueError:
        raise ConfigurationError(f"{where}: {field} '{row[field]}' is no date; write it as 2026-11-30.") from None


def _is_positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False

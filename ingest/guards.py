"""Refusals that keep a plausible-looking answer from damaging what is already loaded.

A loader believes what it is told: it empties a table on `200 []`, it skips everything after one date in the year 2100,
it calls a list complete because nobody said otherwise. Each function here is one such belief it may not hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from ingest.errors import ImplausibleAnswerError

# A full list that shrank to less than half of the last good one is taken for a broken answer, not for news.
SMALLEST_SHARE = 0.5
# Below this many rows a list may halve on an ordinary day.
SMALLEST_TABLE = 20


def require_floor(
    table: str, received: int, last_good: int, *, share: float = SMALLEST_SHARE, smallest: int = SMALLEST_TABLE
) -> None:
    """Refuse to replace rows by an answer that is far shorter than the last good one.

    Raises:
        ImplausibleAnswerError: if the table had at least `smallest` rows and less than `share` of them came back.
    """
    if last_good >= smallest and received < last_good * share:
        raise ImplausibleAnswerError(
            f"{table} came back with {received:,} rows where the last good answer had {last_good:,}; the rows loaded"
            f" before are kept. If the vendor really lost them, set [ingest] smallest_share below"
            f" {received / last_good:.2f} for one run."
        )


def require_total(table: str, received: int, vendor_total: int | None, *, slack: int = 0) -> None:
    """Refuse a full list that holds fewer rows than the vendor counts.

    `slack` is the number of rows that may be counted and not yet listed. More rows than counted are fine: counters
    leave out deleted rows, and rows appear while the list is read.

    Raises:
        ImplausibleAnswerError: if rows are missing.
    """
    if vendor_total is not None and received < vendor_total - slack:
        raise ImplausibleAnswerError(
            f"{table} came back with {received:,} rows where the vendor counts {vendor_total:,}; the list is"
            " incomplete and the rows loaded before are kept."
        )


def advanced_cursor(previous: float | None, seen: Iterable[float], ceiling: float) -> float:
    """The cursor after a read: the newest value seen, never backwards, never past `ceiling`.

    `ceiling` is the instant of the read on the vendor's clock. One row dated in the future would otherwise move the
    cursor there and hide every later row; a row dated in the past of the cursor must not move it back either, or each
    run would read the same stretch again.
    """
    newest = max((value for value in seen if value <= ceiling), default=None)
    candidates = [value for value in (previous, newest) if value is not None]
    return min(max(candidates), ceiling) if candidates else ceiling


def lagged(cursor: float, lag: float) -> float:
    """Where to start reading so that a change within the cursor's own second, or a row that came late, is seen.

    Raises:
        ValueError: if the lag is below one unit of the cursor: equal values would be lost.
    """
    if lag < 1:
        raise ValueError(f"A lag of {lag} would lose a change made within the same second; it must be at least 1.")
    return cursor - lag

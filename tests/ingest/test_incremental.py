"""The whole promise of reading only what is new: after any number of days it ends in the same tables as reading all.

Three readers follow a generated company: one every day, one after a pause and by dlt's own loading, one at the end.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from harness import Ingest, Reader, Vendors, conserved, naive, point_at

from ingest import contracts, extract
from sandbox import generate, serve
from sandbox.limits import Limits
from sandbox.world.parameters import WorldParameters

DAYS = 2


@pytest.fixture
def company(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    """A generated world in place of the hand-made one, and a server of its own."""
    generate.generate(data_dir, WorldParameters(customers=60, months=4, events_per_day=100))
    for source, folder in (("PRODUCT", "events"), ("SPEND", "spend"), ("REPORTS", "reports")):
        monkeypatch.setenv(f"SOURCES__{source}__BUCKET_URL", str(data_dir / "sandbox" / "bucket" / folder))
    with serve.start(data_dir, limits=Limits.off()) as running:
        point_at(monkeypatch, running.url)
        yield Vendors(running.url)


def as_of(vendors: Vendors) -> dt.datetime:
    now = dt.datetime.fromisoformat(vendors.clock())
    return naive(now.year, now.month, now.day, now.hour)


@pytest.mark.end_to_end
def test_reading_what_is_new_day_by_day_ends_like_reading_everything_at_the_end(
    company: Vendors, data_dir: Path, tmp_path: Path
) -> None:
    daily, loaded, whole = Reader(tmp_path / "daily"), Ingest(data_dir), Reader(tmp_path / "whole")
    rows = 0
    for day in range(DAYS + 1):
        if day:
            company.advance()
        for reader in (daily, loaded) if day in (0, DAYS) else (daily,):
            for source in extract.SOURCES:
                result = reader(source, as_of(company))
                assert result.ok, result.error
                assert conserved(result)
                rows += result.rows_loaded if not day else 0
    for source in extract.SOURCES:
        assert whole(source, as_of(company)).ok
    assert rows > 2 * 1000
    daily.close()
    whole.close()
    for other in (daily, loaded):
        assert differences(whole.data_dir, other.data_dir) == []


def differences(whole: Path, followed: Path) -> list[tuple[str, str]]:
    """Tables whose rows differ, with the side that has more."""
    found = []
    with duckdb.connect() as connection:
        connection.execute(f"attach '{whole / 'warehouse.duckdb'}' as whole (read_only)")
        connection.execute(f"attach '{followed / 'warehouse.duckdb'}' as followed (read_only)")
        for source in extract.SOURCES:
            for name, table in contracts.load(source).items():
                columns = ", ".join(f'"{column}"::varchar' for column in table.columns)
                where = f'{table.dataset}."{name}"'
                # the vendor forgets events after 30 days, we do not
                expired = name == "events" and source == "stripe"
                pairs = [("whole", "followed")] if expired else [("whole", "followed"), ("followed", "whole")]
                for one, other in pairs:
                    query = f"select {columns} from {one}.{where} except all select {columns} from {other}.{where}"
                    if connection.execute(query).fetchall():
                        found.append((f"{source}.{name}", one))
    return found

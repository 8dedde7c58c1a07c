"""The whole promise of reading only what is new: after any number of days it ends in the same tables as reading all."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from harness import Ingest, Vendors, conserved, naive

from ingest import contracts, extract
from sandbox import generate
from sandbox.store import Store
from sandbox.world.parameters import WorldParameters

DAYS = 2


@pytest.fixture
def store(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A generated world in place of the hand-made one."""
    generate.generate(data_dir, WorldParameters(customers=60, months=4, events_per_day=100))
    for source, folder in (("PRODUCT", "events"), ("SPEND", "spend"), ("REPORTS", "reports")):
        monkeypatch.setenv(f"SOURCES__{source}__BUCKET_URL", str(data_dir / "sandbox" / "bucket" / folder))
    opened = Store(generate.store_path(data_dir))
    yield opened
    opened.close()


def as_of(vendors: Vendors) -> dt.datetime:
    now = dt.datetime.fromisoformat(vendors.clock())
    return naive(now.year, now.month, now.day, now.hour)


@pytest.mark.end_to_end
def test_reading_what_is_new_day_by_day_ends_like_reading_everything_at_the_end(
    ingest: Ingest, vendors: Vendors, data_dir: Path, tmp_path: Path
) -> None:
    full_dir = tmp_path / "full"
    first = {source: ingest(source, as_of(vendors)) for source in extract.SOURCES}
    for _ in range(DAYS):
        vendors.advance()
        for source in extract.SOURCES:
            result = ingest(source, as_of(vendors))
            assert result.ok, result.error
            assert conserved(result)
    (full_dir / "dlt").mkdir(parents=True)
    if (data_dir / "ledger.sqlite").exists():
        os.link(data_dir / "ledger.sqlite", full_dir / "ledger.sqlite")
    full = Ingest(full_dir)
    for source in extract.SOURCES:
        assert full(source, as_of(vendors)).ok
    assert sum(result.rows_loaded for result in first.values()) > 1000
    with duckdb.connect() as connection:
        connection.execute(f"attach '{data_dir / 'warehouse.duckdb'}' as daily (read_only)")
        connection.execute(f"attach '{full_dir / 'warehouse.duckdb'}' as whole (read_only)")
        for source in extract.SOURCES:
            for name, table in contracts.load(source).items():
                columns = ", ".join(f'"{column}"::varchar' for column in table.columns)
                where = f'{table.dataset}."{name}"'
                # the vendor forgets events after 30 days, we do not
                expired = name == "events" and source == "stripe"
                pairs = [("whole", "daily")] if expired else [("whole", "daily"), ("daily", "whole")]
                for one, other in pairs:
                    query = f"select {columns} from {one}.{where} except all select {columns} from {other}.{where}"
                    assert connection.execute(query).fetchall() == [], f"{source}.{name}: in {one}, not in {other}"

"""Reports that people make by hand, as a source: what is particular to them; the rest is tested with spend's files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import silos
from harness import Ingest, conserved

DAY = silos.NOW.date()
HEADER = "period,grain,metric,customer,value,currency,prepared_by,note"
PERIOD = DAY - dt.timedelta(days=1)


@pytest.fixture
def bucket(data_dir: Path) -> Path:
    return data_dir / "bucket" / "reports"


def write(bucket: Path, day: dt.date, *lines: str, name: str = "billing.csv") -> Path:
    folder = bucket / f"filed_on={day}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def test_a_correction_is_filed_beside_what_it_corrects_and_both_stay(ingest: Ingest, bucket: Path) -> None:
    write(bucket, PERIOD, f"{PERIOD},day,payments,,100.00,usd,finance-analyst,")
    assert ingest("reports").ok
    write(bucket, DAY, f"{PERIOD},day,payments,,110.00,usd,finance-analyst,sorry", name="billing_later.csv")
    assert ingest("reports").rows_extracted == 1, "only the new day is read"
    assert ingest.rows("select filed_on, value, note from raw_reports.figures order by 1") == [
        (PERIOD, "100.00", None),
        (DAY, "110.00", "sorry"),
    ]


def test_lines_that_are_none_are_set_aside_and_nothing_is_lost(ingest: Ingest, bucket: Path) -> None:
    path = write(bucket, DAY, f"{PERIOD},day,payments,,100.00,usd,finance-analyst,", "half,a,line")
    path.write_bytes(path.read_bytes() + b"caf\xe9,day,payments,,1,usd,x,\n")
    write(bucket, PERIOD, "something else", name="notes.csv").write_text("day,figure\n2026-01-01,7\n")
    result = ingest("reports")
    assert result.ok
    assert conserved(result)
    assert (result.rows_extracted, result.rows_loaded, result.rows_quarantined) == (4, 1, 3)
    assert sorted(reason for _, _, reason in ingest.quarantined("reports")) == [
        "The header has no column period.",
        "The line has 3 fields where the header has 8.",
        "The line is not valid UTF-8.",
    ]

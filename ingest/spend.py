"""Advertising spend: one CSV file per day, in a folder per day.

Data flow: <bucket_url>/spend_date=YYYY-MM-DD/*.csv -> raw_spend.ad_spend. Amounts stay text.
Incremental rule: a day is read again when the name, size or modification time of any of its files changed; the whole
day replaces the whole day (merge key `spend_date`).
Delete rule: rows missing from a rewritten file go with it; a day whose folder disappears is kept.
Set aside: see `ingest/daily_files.py`.
Run: python -m ingest spend
"""

from __future__ import annotations

from collections.abc import Iterator

import dlt
import pyarrow as pa
from dlt.sources import DltResource

from ingest import contracts, daily_files
from ingest.extraction import Extraction

AD_SPEND = contracts.load("spend")["ad_spend"]


@dlt.source(name="spend", max_table_nesting=0)
def spend(extraction: Extraction, bucket_url: str) -> DltResource:
    """The spend lines of every day that changed since the last load."""

    @dlt.resource(**AD_SPEND.hints())
    def ad_spend() -> Iterator[pa.Table]:
        yield from daily_files.rows(extraction, "ad_spend", bucket_url, "spend_date", repeats_day=True)

    return ad_spend

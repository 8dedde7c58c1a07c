"""The company's own reports, made by hand: CSV files in a folder per day of filing.

Data flow: <bucket_url>/filed_on=YYYY-MM-DD/*.csv -> raw_reports.figures, one row per line, figures as text. A line
without a customer is the total that was reported, the others are the list behind it.
Incremental rule: a day of filing is read again when the name, size or modification time of any of its files changed;
the whole day replaces the whole day (merge key `filed_on`). A correction is another file, filed on another day: both
stay, and the models say which one counts.
Delete rule: rows missing from a rewritten file go with it; a day whose folder disappears is kept.
Set aside: see `ingest/daily_files.py`.
Run: python -m ingest reports
"""

from __future__ import annotations

from collections.abc import Iterator

import dlt
import pyarrow as pa
from dlt.sources import DltResource

from ingest import contracts, daily_files
from ingest.extraction import Extraction

FIGURES = contracts.load("reports")["figures"]


@dlt.source(name="reports", max_table_nesting=0)
def reports(extraction: Extraction, bucket_url: str) -> DltResource:
    """The lines of every day of filing that changed since the last load."""

    @dlt.resource(**FIGURES.hints())
    def figures() -> Iterator[pa.Table]:
        yield from daily_files.rows(extraction, "figures", bucket_url, "filed_on", repeats_day=False)

    return figures

"""The contracts' types as Arrow sees them."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ingest.contracts import TableContract

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
    "json": pa.string(),
}


def arrow_schema(contract: TableContract) -> pa.Schema:
    """A table's columns; JSON is text, times are UTC without a zone, in microseconds."""
    columns = contract.columns.items()
    return pa.schema([pa.field(name, ARROW_TYPES[kind], nullable=name != contract.key) for name, kind in columns])

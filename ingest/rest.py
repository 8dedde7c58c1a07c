"""What declarative `rest_api` resources share: typed pages, and a page that ends with the last object's id."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from dlt.extract.items_transform import ItemTransform
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from requests import Request, Response

from ingest.typed import TypedTable


class TypedPages(ItemTransform[Any, dict[str, Any]]):
    """A step that turns each page of records into an Arrow table, and sets aside what cannot be typed."""

    def __init__(self, table: TypedTable, location: str) -> None:
        super().__init__(lambda item: item)
        self._table = table
        self._location = location

    def __call__(self, item: Any, meta: Any = None) -> pa.Table | None:  # noqa: ARG002 - dlt's signature
        """One page in, one Arrow table out; None when nothing of the page is left."""
        self._table.add(item if isinstance(item, list) else [item], self._location)
        return self._table.drain() if self._table.pending else None


class LastIdPaginator(BasePaginator):
    """Stripe's pages: `has_more`, and the next page starts after the last object's id."""

    def __init__(self) -> None:
        super().__init__()
        self._last_id: str | None = None

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Remember where the next page starts; the list ends when the vendor says so or gives nothing more."""
        body = response.json()
        self._last_id = data[-1].get("id") if data else None
        self._has_next_page = bool(body.get("has_more")) and self._last_id is not None

    def update_request(self, request: Request) -> None:
        """Ask for the page after the last object."""
        if self._last_id is not None:
            request.params = {**(request.params or {}), "starting_after": self._last_id}

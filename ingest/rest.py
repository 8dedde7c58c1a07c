"""What resources of REST APIs share: typed pages, and pages that go on behind the last object's id."""

from __future__ import annotations

from typing import Any, TypeVar

import pyarrow as pa
from dlt.extract.items_transform import ItemTransform
from dlt.sources.helpers.rest_client.paginators import BasePaginator
from requests import Request, Response

from ingest.errors import ImplausibleAnswerError
from ingest.typed import TypedTable

Id = TypeVar("Id", str, int)


def up_to_last_id(records: list[Any], kind: type[Id]) -> tuple[list[Any], Id | None]:
    """A page up to its last record with an id of this kind, and that id: the next page can only go on behind it.

    Records without one at the end of a page are left to the next page, which begins with them; so each is there once.
    """
    for position in range(len(records), 0, -1):
        record = records[position - 1]
        if isinstance(record, dict) and isinstance(record.get("id"), kind) and record["id"]:
            return records[:position], record["id"]
    return [], None


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
        """Remember where the next page starts; the list ends when the vendor says so.

        Raises:
            ImplausibleAnswerError: if the vendor promises more and does not get further.
        """
        self._has_next_page = bool(response.json().get("has_more"))
        if not self._has_next_page:
            return
        records, last_id = up_to_last_id(data or [], str)
        if data is None or last_id is None or last_id == self._last_id:
            raise ImplausibleAnswerError("Stripe says there are more objects and does not give them.")
        # what is left of the page is yielded after this, and the rest comes again
        del data[len(records) :]
        self._last_id = last_id

    def update_request(self, request: Request) -> None:
        """Ask for the page after the last object."""
        if self._last_id is not None:
            request.params = {**(request.params or {}), "starting_after": self._last_id}

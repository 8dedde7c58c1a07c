"""Where facts become documents: a write-back cache in front of the store, thinned out now and then to bound memory."""

from __future__ import annotations

from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sandbox.records.apply import HANDLERS
from sandbox.store import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.store import Store
    from sandbox.world.day import Fact

Body = dict[str, Any]

# documents that stay at hand after they were written: people and customers are spoken of again and again
KEPT = 20_000
# documents that may wait to be written, so that memory does not grow with the world
WAITING = 20_000


class Desk:
    """The documents being worked on. `events_since` is the instant from which a vendor still keeps its event log."""

    def __init__(self, store: Store, events_since: float) -> None:
        self.store = store
        self.events_since = events_since
        self._open: dict[tuple[str, str], Document] = {}
        self._changed: set[tuple[str, str]] = set()

    def create(self, collection: str, document_id: Any, at: float, body: Body, parent: str | None = None) -> Body:
        """A new document, created and last changed at an instant."""
        key = (collection, str(document_id))
        self._open[key] = Document(key[1], body, at, at, parent)
        self._changed.add(key)
        return body

    def find(self, collection: str, document_id: Any) -> Body:
        """The current body of a document, not to be changed in place.

        Raises:
            LookupError: if there is none; a fact about something that was never created is a mistake of the world.
        """
        return self._document(collection, document_id).body

    def created_at(self, collection: str, document_id: Any) -> float:
        """When a document was created, in unix seconds."""
        return self._document(collection, document_id).created_at

    def change(self, collection: str, document_id: Any, at: float, changes: Body, *, parent: str | None = None) -> Body:
        """Set top-level fields of a document; returns the body as it was before."""
        document = self._document(collection, document_id)
        body = {**document.body, **changes}
        key = (collection, document.id)
        self._lay_on_top(key, Document(document.id, body, document.created_at, at, parent or document.parent))
        self._changed.add(key)
        return document.body

    def apply(self, facts: Iterable[Fact]) -> None:
        """Let facts change the records, in the order they are given."""
        for at, _, what, details in facts:
            HANDLERS[what](self, at, **details)
        if len(self._changed) >= WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what changed and forget all but the documents that were used last."""
        for collection, keys in groupby(sorted(self._changed), key=itemgetter(0)):
            self.store.put_many(collection, [self._open[key] for key in keys])
        self._changed.clear()
        for key in list(islice(self._open, max(0, len(self._open) - KEPT))):
            del self._open[key]

    def _document(self, collection: str, document_id: Any) -> Document:
        key = (collection, str(document_id))
        document = self._open.get(key) or self.store.document(*key)
        if document is None:
            raise LookupError(f"The world speaks of {collection} {document_id}, which was never created.")
        self._lay_on_top(key, document)
        return document

    def _lay_on_top(self, key: tuple[str, str], document: Document) -> None:
        self._open.pop(key, None)
        self._open[key] = document

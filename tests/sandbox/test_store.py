from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sandbox.store import Document, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEADS = "bitrix24.leads"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "silos.sqlite")
    opened.set_now(1000.0)
    yield opened
    opened.close()


def walk(store: Store, order: str, *, descending: bool) -> list[str]:
    found: list[str] = []
    after = None
    while page := store.page(LEADS, order=order, descending=descending, after=after, limit=7):  # type: ignore[arg-type]
        found += [document.id for document in page]
        after = page[-1].key(order)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ["id", "created_at", "updated_at"])
def test_pages_show_every_document_once_in_the_order_of_numbers(store: Store, order: str, descending: bool) -> None:
    documents = [Document(str(n), {"id": n}, float(n % 3), float(n % 5)) for n in range(1, 101)]
    store.put_many(LEADS, documents)
    key = {
        "id": lambda d: int(d.id),
        "created_at": lambda d: (d.created_at, int(d.id)),
        "updated_at": lambda d: (d.updated_at, int(d.id)),
    }[order]
    expected = [document.id for document in sorted(documents, key=key, reverse=descending)]
    assert walk(store, order, descending=descending) == expected


def test_bounds_are_half_open_as_they_are_named(store: Store) -> None:
    store.put_many(LEADS, [Document(str(n), {}, float(n), float(n)) for n in range(1, 11)])
    ids = [document.id for document in store.page(LEADS, created_gte=3.0, created_lt=6.0)]
    assert ids == ["3", "4", "5"]
    assert store.count(LEADS, id_gt=8) == 2
    with pytest.raises(TypeError, match="created_around"):
        store.count(LEADS, created_around=1.0)


def test_parent_selects_the_children(store: Store) -> None:
    store.put("stripe.invoices", "in_1", {"id": "in_1"}, 1.0, parent="sub_1")
    store.put("stripe.invoices", "in_2", {"id": "in_2"}, 2.0, parent="sub_2")
    assert [document.id for document in store.page("stripe.invoices", parent="sub_2")] == ["in_2"]


def write_and_fail(store: Store) -> None:
    with store.transaction():
        store.put(LEADS, 1, {"stage": "JUNK"}, 1.0)
        with store.transaction():
            store.put(LEADS, 2, {}, 1.0)
            store.set_now(2000.0)
        raise RuntimeError("The power went.")


def test_a_failed_transaction_leaves_nothing_also_when_nested(store: Store) -> None:
    store.put(LEADS, 1, {"stage": "NEW"}, 1.0)
    with pytest.raises(RuntimeError, match="power"):
        write_and_fail(store)
    assert store.get(LEADS, 1) == {"stage": "NEW"}
    assert store.get(LEADS, 2) is None
    assert store.now() == 1000.0


def test_deliveries_come_back_in_the_order_of_arrival_with_their_bodies(store: Store) -> None:
    store.record_delivery("customerio", "event", {"name": "a"}, idempotency_key="k1")
    store.record_delivery("zendesk", "ticket", {"subject": "b"}, status=201, received_at=1500.0)
    assert [delivery.body for delivery in store.deliveries()] == [{"name": "a"}, {"subject": "b"}]
    assert [delivery.kind for delivery in store.deliveries(received_gte=1001.0)] == ["ticket"]
    assert store.deliveries("customerio", idempotency_key="k1")[0].received_at == 1000.0


def test_numbers_are_never_given_twice_to_threads(store: Store) -> None:
    given: list[int] = []
    lock = threading.Lock()

    def take() -> None:
        for _ in range(50):
            number = store.next_id("tickets")
            with lock:
                given.append(number)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 201))
    store.raise_sequence("tickets", 100)
    assert store.next_id("tickets") == 201


def test_an_empty_file_says_how_to_get_a_world(tmp_path: Path) -> None:
    store = Store(tmp_path / "empty.sqlite")
    with pytest.raises(LookupError, match="sandbox generate"):
        store.now()
    store.close()

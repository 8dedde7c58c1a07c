"""A ledger that was lost is seen before anything is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from activation.ledger import Ledger
from benchmarks.vendors import AS_OF, actions_for
from lifecycle import delivered, ledger
from lifecycle.doctor import stores
from lifecycle.errors import CannotRunError

if TYPE_CHECKING:
    from lifecycle.settings import Places


def test_a_lost_ledger_stops_delivering_until_it_is_back_or_a_person_says_so(places: Places) -> None:
    with_three = Ledger(places.ledger)
    delivered.require(places, with_three)
    with_three.enqueue(actions_for("make", range(1, 4)), AS_OF)
    delivered.note(places, with_three)
    delivered.require(places, with_three)
    with_three.close()
    assert [finding.state for finding in stores.ledger(places)] == ["ok"]

    kept = places.ledger.rename(places.ledger.with_suffix(".kept"))
    (gone,) = stores.ledger(places)
    assert (gone.state, "knows 0 deliveries, and knew 3" in gone.text) == ("fail", True)
    another = Ledger(places.ledger)
    another.enqueue(actions_for("make", range(1, 3)), AS_OF)
    with pytest.raises(CannotRunError, match=r"knows 2 deliveries, and knew 3.* delete .*delivered\.json"):
        delivered.require(places, another)
    another.close()

    kept.replace(places.ledger)
    whole = Ledger(places.ledger)
    delivered.require(places, whole)
    whole.close()
    places.ledger.unlink()
    (places.data_dir / delivered.FILE_NAME).unlink()
    assert [finding.state for finding in stores.ledger(places)] == ["ok"], "a person decided to begin anew"


@pytest.mark.parametrize("torn", ["", "[]", json.dumps({"deliveries": None})])
def test_a_torn_note_holds_nobody_up(places: Places, torn: str) -> None:
    (places.data_dir / delivered.FILE_NAME).write_text(torn)
    assert delivered.missing(places, None) == ""


def test_a_damaged_ledger_is_named(places: Places) -> None:
    places.ledger.write_bytes(b"no database at all" * 500)
    with pytest.raises(CannotRunError, match=r"ledger\.sqlite is damaged: restore it"):
        ledger.open_ledger(places)


@pytest.mark.parametrize(
    ("url", "words"),
    [("postgres", "is no database address"), ("postgresql://u:hush@h:port/d", "is no database address")],
)
def test_an_address_of_no_database_is_said_without_it(
    places: Places, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setenv("ACTIVATION__LEDGER_URL", url)
    with pytest.raises(ledger.ConfigurationError, match=words) as said:
        ledger.open_ledger(places)
    assert "hush" not in str(said.value)

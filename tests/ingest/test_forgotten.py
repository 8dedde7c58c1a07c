"""Whoever was forgotten is scrubbed from what is extracted, and nobody else is."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ingest import contracts
from ingest.arrow import arrow_schema
from ingest.forgotten import FILE, Forgotten, remember
from ingest.quarantine import Quarantine
from ingest.typed import TypedTable
from lifecycle.forget.subject import Subject

if TYPE_CHECKING:
    from pathlib import Path

ADA = Subject(
    "erasure-1",
    "person",
    texts={
        "Ada.Byron@Firm.example": "ada.byron@firm.example",
        "ada.byron+news@firm.example": "ada.byron@firm.example",
        "usr_ada1815": "usr_ada1815",
    },
    names=["Ada Byron"],
    records=["zendesk:user:20001", "bitrix24:contact:7", "product:user:usr_ada1815"],
)


@pytest.fixture
def forgotten(tmp_path: Path) -> Forgotten:
    """Ada was forgotten."""
    return remember(tmp_path, ADA.erasure_id, ADA.marks)


def scrubbed(forgotten: Forgotten, source: str, table: str, *records: dict[str, Any]) -> list[dict[str, Any]]:
    """Records as they arrive in the raw table."""
    contract = contracts.load(source)[table]
    typed = TypedTable(contract, Quarantine(source, forgotten), forgotten=forgotten)
    typed.add(records, "test")
    assert typed.quarantined == 0
    rows: list[dict[str, Any]] = typed.drain().to_pylist()
    return rows


def test_the_file_holds_nothing_that_names_anybody_and_is_for_its_owner(tmp_path: Path, forgotten: Forgotten) -> None:
    text = (tmp_path / FILE).read_text(encoding="utf-8").lower()
    # no word that a hash could have by chance
    assert not any(word in text for word in ("ada@", "ada b", "ada1815", "byron", "usr_", ":20001"))
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert forgotten
    assert not Forgotten.load(tmp_path / "elsewhere")


def test_the_salt_stays_and_erasing_again_replaces_its_own_marks_only(tmp_path: Path, forgotten: Forgotten) -> None:
    other = Subject("erasure-2", "person", texts={"bob@firm.example": "bob@firm.example"})
    remember(tmp_path, other.erasure_id, other.marks)
    again = remember(tmp_path, ADA.erasure_id, ADA.marks)
    assert again.salt == forgotten.salt
    assert again.surrogate_of("usr_ada1815") == forgotten.surrogate_of("usr_ada1815")
    assert again.surrogate_of("bob@firm.example")
    document = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert [erasure["erasure_id"] for erasure in document["erasures"]] == ["erasure-2", "erasure-1"]


def test_every_spelling_of_an_address_becomes_one_surrogate_of_the_same_domain(forgotten: Forgotten) -> None:
    surrogate = forgotten.surrogate_of("ada.byron@firm.example")
    assert surrogate is not None
    assert surrogate.startswith("forgotten")
    assert surrogate.endswith("@firm.example")
    for spelling in ("ADA.byron@firm.EXAMPLE", " ada.byron@firm.example ", "ada.byron+never_seen@firm.example"):
        assert forgotten.surrogate_of(spelling) == surrogate
    for other in ("ada@firm.example", "ada.byron@other.example", "byron@firm.example", "usr_ada18150", ""):
        assert forgotten.surrogate_of(other) is None


def test_a_record_about_the_person_keeps_its_key_and_its_ties_and_says_nothing_else(forgotten: Forgotten) -> None:
    mine, other = scrubbed(
        forgotten,
        "zendesk",
        "users",
        {"id": 20001, "name": "A. B.", "email": "new@elsewhere.example", "organization_id": 5, "role": "end-user",
         "phone": "+44 20 1815", "user_fields": {"nickname": "Countess"}},
        {"id": 20002, "name": "Ada Byron", "email": "namesake@firm.example", "organization_id": 5, "role": "end-user"},
    )  # fmt: skip
    assert {key: value for key, value in mine.items() if value is not None} == {
        "id": 20001, "organization_id": 5, "role": "end-user",
    }  # fmt: skip
    assert other["name"] == "Ada Byron", "a namesake is somebody else"


def test_a_record_that_comes_back_under_a_new_key_is_known_by_its_address(forgotten: Forgotten) -> None:
    (row,) = scrubbed(
        forgotten, "bitrix24", "contacts",
        {"id": 99, "name": "Ada", "last_name": "Byron", "company_id": 3,
         "fm": [{"id": 1, "typeId": "EMAIL", "value": "ADA.BYRON@firm.example"}]},
    )  # fmt: skip
    assert row["name"] is None
    assert row["last_name"] is None
    assert row["company_id"] == 3
    assert json.loads(row["fm"])[0]["value"] == forgotten.surrogate_of("ada.byron@firm.example")


def test_a_record_that_mentions_the_person_keeps_its_facts(forgotten: Forgotten) -> None:
    ticket, foreign = scrubbed(
        forgotten,
        "zendesk",
        "tickets",
        {"id": 1, "subject": "Ada here", "description": "call me", "status": "open", "requester_id": 20001,
         "satisfaction_rating": {"score": "good", "comment": "Thanks, Ada"}},
        {"id": 2, "subject": "Exports fail", "status": "open", "requester_id": 20002},
    )  # fmt: skip
    assert (ticket["id"], ticket["status"], ticket["subject"], ticket["requester_id"]) == (1, "open", None, 20001)
    assert json.loads(ticket["satisfaction_rating"]) == {"score": "good", "comment": None}
    assert foreign["subject"] == "Exports fail"
    (invoice,) = scrubbed(
        forgotten,
        "stripe",
        "invoices",
        {"id": "in_1", "customer": "cus_1", "total": 900, "customer_email": "ada.byron@firm.example",
         "customer_name": "Ada Byron", "lines": {"data": [{"amount": 900, "description": "1 x Team"}]}},
    )  # fmt: skip
    assert (invoice["customer"], invoice["total"], invoice["customer_name"]) == ("cus_1", 900, None)
    assert invoice["customer_email"] == forgotten.surrogate_of("ada.byron@firm.example")
    assert json.loads(invoice["lines"])["data"][0]["description"] == "1 x Team"


def test_what_others_wrote_about_the_person_goes_and_the_rest_of_their_record_stays(forgotten: Forgotten) -> None:
    surrogate = forgotten.surrogate_of("ada.byron@firm.example")
    ticket, namesake = scrubbed(
        forgotten,
        "zendesk",
        "tickets",
        {"id": 3, "subject": "Access", "description": "For Ada <Ada.Byron@firm.example>, please.", "requester_id": 9},
        {"id": 4, "subject": "ada.byron@firm.example.org", "description": "nada.byron@firm.example", "requester_id": 9},
    )
    assert (ticket["subject"], ticket["description"]) == ("Access", None)
    assert namesake["subject"] == "ada.byron@firm.example.org", "another address that begins like hers"
    assert namesake["description"] == "nada.byron@firm.example", "and one that ends like it"
    (colleague,) = scrubbed(
        forgotten, "zendesk", "users",
        {"id": 9, "name": "Bob", "email": "bob@firm.example", "notes": "Assists 'ada.byron+x@firm.example'."},
    )  # fmt: skip
    assert (colleague["name"], colleague["email"]) == ("Bob", "bob@firm.example")
    assert colleague["notes"] == f"Assists '{surrogate}'."


@pytest.mark.parametrize(
    "text",
    [
        "/share?to=ada.byron%40firm.example&by=usr_ada1815",
        "mailto:ADA.Byron@firm.example",
        "usr_ada1815 invited bob@firm.example (usr_ada1815).",
        "Ask ada.byron@firm.example!",
    ],
)
def test_an_id_or_address_is_recognised_within_a_text(forgotten: Forgotten, text: str) -> None:
    said = forgotten.scrub_text(text).lower()
    assert "ada1815" not in said
    assert "byron" not in said
    assert ("bob@firm.example" in said) == ("bob@firm.example" in text)


def test_a_companys_record_stays_named_when_only_somebody_of_it_was_forgotten(forgotten: Forgotten) -> None:
    fm = [{"typeId": "EMAIL", "value": "ada.byron@firm.example"}]
    (row,) = scrubbed(forgotten, "bitrix24", "companies", {"id": 3, "title": "Firm Ltd", "fm": fm})
    assert row["title"] == "Firm Ltd"
    assert "ada" not in row["fm"]


def test_events_are_scrubbed_in_columns_of_arrow_and_in_their_json(forgotten: Forgotten) -> None:
    contract = contracts.load("product")["events"]
    traits = {"traits": {"email": "ada.byron@firm.example", "name": "Ada Byron", "plan": "team"}, "ip": "10.0.0.1"}
    size = 3
    values = {name: pa.nulls(size, arrow_schema(contract).field(name).type) for name in contract.columns}
    values["message_id"] = pa.array(["m1", "m2", "m3"])
    values["user_id"] = pa.array(["usr_ada1815", "usr_bob", None])
    values["context"] = pa.array([json.dumps(traits), json.dumps({"ip": "10.0.0.2"}), "{broken"])
    typed = TypedTable(contract, Quarantine("product"), forgotten=forgotten)
    rows = typed.take_arrow(pa.table(values), "day").to_pylist()
    assert [row["message_id"] for row in rows] == ["m1", "m2", "m3"]
    assert rows[0]["user_id"] == forgotten.surrogate_of("usr_ada1815")
    context = json.loads(rows[0]["context"])
    assert context["ip"] is None
    assert context["traits"] == {
        "email": forgotten.surrogate_of("ada.byron@firm.example"),
        "name": None,
        "plan": "team",
    }
    assert (rows[1]["user_id"], json.loads(rows[1]["context"])) == ("usr_bob", {"ip": "10.0.0.2"})
    assert rows[2]["context"] == "{broken"


def test_what_cannot_be_read_is_set_aside_without_its_content(forgotten: Forgotten) -> None:
    quarantine = Quarantine("product", forgotten)
    for payload in ('{"email": "ada.byron@firm.example"', '{"email": "bob@firm.example"'):
        quarantine.add("events", location="file", record_key="usr_ada1815", reason="broken", payload=payload)
    assert "ada" not in quarantine.rejected[0].payload
    assert quarantine.rejected[0].record_key == forgotten.surrogate_of("usr_ada1815")
    assert "bob@firm.example" in quarantine.rejected[1].payload


def test_a_whole_company_takes_its_domain_and_its_ids_along(tmp_path: Path) -> None:
    firm = Subject(
        "erasure-3",
        "customer",
        texts={"acc_f1": "acc_f1", "firm.example": "firm.example", "billing@firm.example": "billing@firm.example"},
        names=["Firm Ltd"],
        records=["zendesk:organization:5"],
    )
    forgotten = remember(tmp_path, firm.erasure_id, firm.marks)
    (row,) = scrubbed(
        forgotten, "zendesk", "organizations",
        {"id": 5, "name": "Firm Ltd", "external_id": "acc_f1", "domain_names": ["firm.example"]},
    )  # fmt: skip
    assert row["name"] is None
    assert row["external_id"] == forgotten.surrogate_of("acc_f1")
    assert json.loads(row["domain_names"]) == [forgotten.surrogate_of("firm.example")]
    assert str(forgotten.surrogate_of("billing@firm.example")).endswith("@forgotten.invalid")
    (customer,) = scrubbed(
        forgotten, "stripe", "customers",
        {"id": "cus_1", "name": "Firm Ltd", "email": "billing@firm.example", "metadata": {"account_id": "acc_f1"}},
    )  # fmt: skip
    assert customer["name"] is None
    assert json.loads(customer["metadata"]) == {"account_id": forgotten.surrogate_of("acc_f1")}

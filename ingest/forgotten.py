"""Whoever asked to be forgotten does not come back with the next extract.

A forgotten person's rows stay, because totals have to go on adding up; what says who it was does not: whatever the
person was called (addresses, ids of the product, names) is known here only as keyed hashes, and every record that
carries one of them is scrubbed before it is loaded. Ids and addresses become surrogates that are a function of the
hash, the same in every silo and in every run, so that records which belonged together still do.

What is scrubbed is decided by value, wherever it stands, in columns and in JSON; the tables below say what else of a
record goes with it: of one that is about a person nearly everything, of one that mentions a person what is written. In
a longer text of somebody else's record (a colleague's ticket, a link) an address or id is recognised as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import pyarrow as pa

FILE = Path("erasures") / "forgotten.json"
SURROGATE = "forgotten"  # and sixteen hexadecimal digits; no dash, which some mail domains cut an address at


def _columns(names: str) -> frozenset[str]:
    return frozenset(names.split())


# what a record about a person may keep; everything else of it goes, columns that a vendor adds later included
OWNED: Mapping[str, frozenset[str]] = {
    "raw_zendesk.users": _columns(
        "id role external_id organization_id active verified suspended locale shared created_at updated_at"
    ),
    "raw_bitrix24.contacts": _columns(
        "id source_id company_id company_ids lead_id assigned_by_id utm_source utm_medium utm_campaign origin_id"
        " originator_id fm uf_crm_account_id created_time updated_time is_deleted created_by updated_by opened"
        " type_id entity_type_id"
    ),
    "raw_customerio.unsubscribed": _columns("id email"),
}
# the same of a company's record, where the company itself was forgotten and not only somebody of it
OWNED_BY_ID: Mapping[str, frozenset[str]] = {
    "raw_zendesk.organizations": _columns(
        "id external_id domain_names shared_tickets shared_comments created_at updated_at"
    ),
    "raw_bitrix24.companies": _columns(
        "id industry employees assigned_by_id lead_id origin_id originator_id fm uf_crm_account_id created_time"
        " updated_time is_deleted created_by updated_by opened entity_type_id currency_id revenue"
    ),
}
# in records that only mention a person, what is written about it
MENTIONING: Mapping[str, frozenset[str]] = {
    "raw_zendesk.tickets": _columns("subject raw_subject description via custom_fields"),
    "raw_zendesk.satisfaction_ratings": _columns("reason comment"),
    "raw_bitrix24.leads": _columns("title name last_name second_name company_title comments"),
    "raw_bitrix24.deals": _columns("title comments"),
    "raw_customerio.messages": _columns("subject"),
    "raw_stripe.customers": _columns("description address shipping phone"),
    "raw_stripe.invoices": _columns("customer_address customer_shipping customer_phone description"),
}
# columns of numbers that point at somebody; texts are recognised wherever they stand
REFERENCES: Mapping[str, Mapping[str, str]] = {
    "raw_zendesk.users": {"id": "zendesk:user"},
    "raw_zendesk.organizations": {"id": "zendesk:organization"},
    "raw_zendesk.tickets": {"requester_id": "zendesk:user", "submitter_id": "zendesk:user"},
    "raw_zendesk.satisfaction_ratings": {"requester_id": "zendesk:user"},
    "raw_bitrix24.contacts": {"id": "bitrix24:contact"},
    "raw_bitrix24.leads": {"id": "bitrix24:lead", "contact_id": "bitrix24:contact"},
    "raw_bitrix24.deals": {
        "contact_id": "bitrix24:contact",
        "lead_id": "bitrix24:lead",
        "company_id": "bitrix24:company",
    },
    "raw_bitrix24.companies": {"id": "bitrix24:company"},
}
# values of these keys say something personal wherever a scrubbed record has them
PERSONAL_KEYS = frozenset(
    {"comment", "comments", "phone", "address", "ip", "userAgent", "cio_id", "first_name", "last_name", "firstName"}
    | {"lastName", "birthday", "avatar", "username"}
)
# within longer texts: addresses, also as links spell them, and what may be an id, first with what ids can hold
_WORD = r"[^\s@\"<>,;:=/?&#(){}\[\]|.!]"
ADDRESS = re.compile(rf"[^\s@\"<>,;:=/?&#(){{}}\[\]|]+(?:@|%40)(?:{_WORD}+\.)+{_WORD}+")
TOKENS = (re.compile(r"[^\s\"'<>,;(){}\[\]=]{4,}"), re.compile(r"[^\s\"'<>,;(){}\[\]=/?&#|:!]{4,}"))
LONGER = re.compile(r"[\s@=/:%,;|(<]")  # what no id or label has, and every text that holds one beside other words
EXACT, WITHIN = 1, 2


@dataclass(slots=True)
class Forgotten:
    """The marks of everybody who was forgotten: keyed hash of a text, and the surrogate it becomes (empty: nothing)."""

    salt: bytes = b""
    marks: dict[str, str] = field(default_factory=dict)
    _known: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def load(cls, data_dir: Path) -> Forgotten:
        """Everybody this data directory has forgotten; nobody without the file."""
        path = data_dir / FILE
        if not path.exists():
            return cls()
        document = json.loads(path.read_text(encoding="utf-8"))
        marks = {mark: surrogate for erasure in document["erasures"] for mark, surrogate in erasure["marks"].items()}
        return cls(bytes.fromhex(document["salt"]), marks)

    def __bool__(self) -> bool:
        """Whether anybody was forgotten."""
        return bool(self.marks)

    def mark(self, kind: str, value: str) -> str:
        """The keyed hash of a value; `kind` is text, name or record. Upper case and white space make no difference."""
        plain = f"{kind}:{' '.join(value.lower().split())}".encode("utf-8", "backslashreplace")
        return hashlib.blake2b(plain, key=self.salt, digest_size=16).hexdigest()

    def surrogate_of(self, value: str) -> str | None:
        """What an id or address becomes; None where it is nobody's who was forgotten.

        An address is also recognised with another +suffix than the ones that were seen.
        """
        if value not in self._known:
            found = self.marks.get(self.mark("text", value))
            if found is None and "+" in value and "@" in value:
                local, _, domain = value.partition("@")
                found = self.marks.get(self.mark("text", f"{local.partition('+')[0]}@{domain}"))
            self._known[value] = found
        return self._known[value]

    def is_name(self, value: str) -> bool:
        """Whether it is the name of somebody who was forgotten; says nothing outside a record that is theirs."""
        return self.mark("name", value) in self.marks

    def scrub(self, table: str, rows: pa.Table) -> tuple[pa.Table, int]:
        """Rows of a raw table (`dataset.name`) with every trace of forgotten people replaced, and how many had one."""
        if not self.marks:
            return rows, 0
        import pyarrow as pa  # noqa: PLC0415 - big, and whoever only asks who was forgotten has no rows

        texts = [name for name in rows.column_names if pa.types.is_string(rows.schema.field(name).type)]
        hit, named, written = self._found(table, rows, texts)
        touched = hit.union(*written.values())
        if not touched:
            return rows, 0
        for position, name in enumerate(rows.column_names):
            column = rows.schema.field(name)
            goes_always = name in MENTIONING.get(table, ()) or (table in OWNED and name not in OWNED[table])
            goes_of_named = table in OWNED_BY_ID and name not in OWNED_BY_ID[table]
            if name == "_dlt_load_id" or not (goes_always or goes_of_named or name in texts):
                continue
            values = rows.column(position).to_pylist()
            for index in hit:
                goes = goes_always or (goes_of_named and index in named)
                if goes or name in texts:
                    values[index] = None if goes else self._scrubbed(values[index], is_theirs=True)
            # of a record that is not theirs goes the text in which they are mentioned, and the rest stays
            for index in written.get(name, set()) - hit:
                is_prose = name in MENTIONING.get(table, ())
                values[index] = None if is_prose else self._scrubbed(values[index], is_theirs=False)
            rows = rows.set_column(position, column, pa.array(values, column.type))
        return rows, len(touched)

    def _found(
        self, table: str, rows: pa.Table, texts: Sequence[str]
    ) -> tuple[set[int], set[int], dict[str, set[int]]]:
        """Where somebody is: rows that are theirs, those known by the record's own id, and texts of others.

        The last are by the column in which the person is mentioned.
        """
        hit: set[int] = set()
        named: set[int] = set()
        written: dict[str, set[int]] = {}
        for name in texts:
            found = _positions(rows.column(name), self._mentions)
            hit.update(found.get(EXACT, ()))
            written[name] = set(found.get(WITHIN, ()))
        for name, kind in REFERENCES.get(table, {}).items():
            if name in rows.column_names:
                exactly = _positions(rows.column(name), partial(self._refers, kind)).get(EXACT, [])
                hit.update(exactly)
                named.update(exactly if name == "id" else ())
        return hit, named, written

    def scrub_text(self, text: str) -> str:
        """Free text with the ids and addresses of forgotten people replaced; names cannot be told in it."""

        def replaced(found: re.Match[str]) -> str:
            return self.surrogate_of(found[0]) or self.surrogate_of(found[0].rstrip(".")) or found[0]

        def written(found: re.Match[str]) -> str:
            address = found[0].replace("%40", "@")
            return self.surrogate_of(address) or self.surrogate_of(address.lstrip("'`*_-.")) or found[0]

        if not self.marks:
            return text
        text = ADDRESS.sub(written, text)
        for token in TOKENS:
            text = token.sub(replaced, text)
        return text

    def _mentions(self, value: str) -> int:
        """EXACT where a column's value is, or as JSON holds, an id or address of somebody; WITHIN a text; else 0."""
        parsed = _parsed(value) if value[:1] in "{[" else None
        texts = [value] if parsed is None else _strings(parsed)
        if any(self.surrogate_of(text) is not None for text in texts):
            return EXACT
        return WITHIN if any(LONGER.search(text) and self.scrub_text(text) != text for text in texts) else 0

    def _refers(self, kind: str, value: Any) -> int:
        return EXACT if self.mark("record", f"{kind}:{value}") in self.marks else 0

    def _scrubbed(self, value: str | None, *, is_theirs: bool) -> str | None:
        """A column's value without who was forgotten; of a record that is theirs, without what is personal too."""
        if value is None:
            return None
        parsed = _parsed(value) if value[:1] in "{[" else None
        if parsed is not None:
            return orjson.dumps(self._walked(parsed, is_theirs=is_theirs)).decode()
        return self._replaced(value, is_theirs=is_theirs)

    def _replaced(self, value: str, *, is_theirs: bool) -> str | None:
        surrogate = self.surrogate_of(value)
        if surrogate is not None:
            return surrogate
        if is_theirs and self.is_name(value):
            return None
        return self.scrub_text(value) if LONGER.search(value) else value

    def _walked(self, value: Any, *, is_theirs: bool) -> Any:
        if isinstance(value, dict):
            return {
                key: None
                if is_theirs and key in PERSONAL_KEYS and not isinstance(item, bool)
                else self._walked(item, is_theirs=is_theirs)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._walked(item, is_theirs=is_theirs) for item in value]
        return self._replaced(value, is_theirs=is_theirs) if isinstance(value, str) else value


def remember(data_dir: Path, erasure_id: str, marks: Callable[[Forgotten], dict[str, str]]) -> Forgotten:
    """Write down whom not to let in again; `marks` makes the marks with the salt that is in force.

    The same erasure replaces what it wrote before. Only the owner can read the file.
    """
    document = _document(data_dir)
    made = marks(Forgotten(bytes.fromhex(document["salt"])))
    others = [erasure for erasure in document["erasures"] if erasure["erasure_id"] != erasure_id]
    _write(data_dir, {**document, "erasures": [*others, {"erasure_id": erasure_id, "marks": made}]})
    return Forgotten.load(data_dir)


def remember_names(data_dir: Path, names: Mapping[str, str]) -> None:
    """Write down which customer's id a forgotten record gave: the record's key as a surrogate has it, and the id.

    Neither says who it was. What was written down stays: afterwards nobody can tell which id a key had made.
    """
    document = _document(data_dir)
    _write(data_dir, {**document, "names": {**names, **document.get("names", {})}})


def remembered_names(data_dir: Path) -> dict[str, str]:
    """What `remember_names` wrote down; nothing without the file."""
    if not (data_dir / FILE).exists():
        return {}
    names: dict[str, str] = _document(data_dir).get("names", {})
    return names


def _document(data_dir: Path) -> dict[str, Any]:
    """The file as it is, or as it begins, with a salt of its own."""
    path = data_dir / FILE
    if not path.exists():
        return {"salt": secrets.token_hex(32), "erasures": []}
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _write(data_dir: Path, document: Mapping[str, Any]) -> None:
    path = data_dir / FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    with fresh.open("w", encoding="utf-8") as file:
        file.write(json.dumps(document))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _positions(column: pa.ChunkedArray, grade: Callable[[Any], int]) -> dict[int, list[int]]:
    """Where a column has values of each grade but 0; each value is looked at once."""
    import pyarrow as pa  # noqa: PLC0415 - see scrub

    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    grades = {
        code: found
        for code, value in enumerate(encoded.dictionary.to_pylist())
        if value is not None and (found := grade(value))
    }
    positions: dict[int, list[int]] = {}
    if grades:
        for index, code in enumerate(encoded.indices.to_pylist()):
            if code in grades:
                positions.setdefault(grades[code], []).append(index)
    return positions


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None

"""Who is to be forgotten, and by what they can be recognised: read from the last build before anything is erased."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ingest.forgotten import SURROGATE
from lifecycle.forget import words

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from ingest.forgotten import Forgotten

PERSONAL_TYPES = ("email", "user_id", "anonymous_id")
COMPANY_TYPES = ("account_id", "domain")

_CUSTOMER = """
    select distinct customer_id from (
        select customer_id from intermediate.int_identities__resolved where customer_id = $asked
        union all
        select customer_id from marts.customer_aliases where alias_customer_id = $asked and is_current
        union all
        select customer_id from intermediate.int_identities__resolved
        where record_level = 'account' and (record_key = $asked or source_record_id = $asked)
    ) as found where customer_id is not null order by all
"""
_PERSON = """
    select distinct person_id, customer_id from intermediate.int_identities__resolved
    where record_level = 'member' and source_record_type <> 'deal' and (
        person_id = $asked or record_key = $asked or source_record_id = $asked
        or record_key in (
            select record_key from intermediate.int_identifiers__extracted
            where identifier_type in ('email', 'user_id', 'anonymous_id')
                and (identifier_value = lower($asked) or lower(raw_value) = lower($asked) or raw_value = $asked)
        )
    ) order by all
"""
_RECORDS = """
    select
        record_key, source_system || ':' || source_record_type as kind, source_record_id, record_name,
        customer_id, person_id
    from intermediate.int_identities__resolved
    where {whose} order by all
"""
# every spelling of the identifiers that nobody else has; what others carry too is not this person's alone
_TEXTS = """
    with theirs as (
        select distinct identifier_type, identifier_value
        from intermediate.int_identifiers__extracted
        where record_key in (select unnest($records)) and identifier_type in (select unnest($types))
    ),
    shared as (
        select distinct identifier_type, identifier_value
        from intermediate.int_identifiers__extracted as carried
        inner join intermediate.int_identities__resolved as records using (record_key)
        where carried.record_key not in (select unnest($records))
            and records.source_record_type not in ('lead', 'deal', 'customer', 'organization', 'company')
            and (carried.identifier_type <> 'email' or records.person_id not in (select unnest($persons)))
            and carried.identifier_type in ('email', 'user_id', 'anonymous_id')
    )
    select identifier_type, identifier_value, raw_value
    from (
        select identifier_type, identifier_value, raw_value from intermediate.int_identifiers__extracted
        union all
        select identifier_type, identifier_value, identifier_value from theirs
    ) as spellings
    semi join theirs using (identifier_type, identifier_value)
    anti join shared using (identifier_type, identifier_value)
    group by all order by all
"""


class UnknownError(Exception):
    """Nobody, or more than one, is meant; the message says which."""


@dataclass(slots=True)
class Subject:
    """Who is forgotten. `texts` maps each spelling to its normal form; `records` are system:type:id."""

    erasure_id: str
    scope: str  # person: one of the people of a customer; customer: everybody of it and the company itself
    customers: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    records: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> list[str]:
        """What must not be found in any byte afterwards, in lower case."""
        telling = {text.lower() for text in self.texts if words.is_telling(text)}
        return sorted(telling | {text.replace("@", words.ESCAPED) for text in telling})

    def marks(self, forgotten: Forgotten) -> dict[str, str]:
        """The keyed hashes of all of this, and what ids and addresses become."""
        made = {forgotten.mark("name", name): "" for name in self.names}
        made |= {forgotten.mark("record", record): "" for record in self.records}
        domains = {text for text in self.texts.values() if "@" not in text and "." in text}
        for text, normal in self.texts.items():
            for each in (text, normal):
                made[forgotten.mark("text", each)] = _surrogate(forgotten.mark("text", normal)[:16], normal, domains)
        return made

    def save(self, path: Path) -> None:
        """Keep it until the erasure is done, for its owner's eyes only."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Subject:
        """What `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def find(connection: duckdb.DuckDBPyConnection, asked: str, erasure_id: str) -> Subject:
    """Who is meant by a customer's id, a person's, a silo's record or an address, with everything they are known by.

    Raises:
        UnknownError: if nobody is meant, or several are.
    """
    wanted = {"asked": asked.strip()}
    customers = [row[0] for row in connection.execute(_CUSTOMER, wanted).fetchall()]
    people: list[tuple[str, str]] = [] if customers else connection.execute(_PERSON, wanted).fetchall()
    if not customers and not people:
        raise UnknownError(f"Nobody is known as '{asked}'. `lifecycle explain` finds people by address, record or id.")
    if len(customers) > 1 or len(people) > 1:
        several = ", ".join(customers or [person for person, _ in people])
        raise UnknownError(f"'{asked}' is not one of them alone: {several}. Name one of these.")
    if customers:
        whose, key = "customer_id = $key", customers[0]
        scope, types = "customer", [*PERSONAL_TYPES, *COMPANY_TYPES]
    else:
        whose, key = "person_id = $key and record_level = 'member'", people[0][0]
        scope, types = "person", [*PERSONAL_TYPES]
    rows: list[tuple[Any, ...]] = connection.execute(_RECORDS.format(whose=whose), {"key": key}).fetchall()
    keys = [row[0] for row in rows]
    persons = [row[5] for row in rows]
    texts: list[tuple[Any, ...]] = connection.execute(
        _TEXTS, {"records": keys, "types": types, "persons": persons}
    ).fetchall()
    naming = {"product:user", "zendesk:user", "bitrix24:contact"}
    if scope == "customer":
        naming |= {"product:account", "stripe:customer", "zendesk:organization", "bitrix24:company"}
    return Subject(
        erasure_id=erasure_id,
        scope=scope,
        customers=sorted({row[4] for row in rows}),
        texts={raw: normal for _, normal, raw in texts if raw and normal},
        names=sorted({name for _, kind, _, name, *_ in rows if kind in naming and name}),
        records=sorted(f"{kind}:{identifier}" for _, kind, identifier, *_ in rows),
    )


def _surrogate(mark: str, normal: str, domains: set[str]) -> str:
    """What stands for an id, a domain or an address from now on.

    An address keeps its domain, which is its company's or a mail service's and ties the record to the customer, unless
    the domain is forgotten too or is the person's own by the mail service's rules.
    """
    local, at, domain = normal.partition("@")
    if not at:
        return f"{SURROGATE}{mark}.invalid" if local in domains else f"{SURROGATE}{mark}"
    is_personal = domain in domains or domain.endswith((".fastmail.com", ".fastmail.fm"))
    return f"{SURROGATE}{mark}@{SURROGATE}.invalid" if is_personal else f"{SURROGATE}{mark}@{domain}"

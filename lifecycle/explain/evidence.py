"""The graph behind a customer: who is meant by a subject, and the shortest chain of believed links to each record.

Reads the published marts `customer_identities`, `identity_links`, `customer_aliases` and `identity_conflicts`.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING, Any

from lifecycle.errors import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    import duckdb

MARTS = ("customer_identities", "identity_links", "customer_aliases", "identity_conflicts")
RECORD_KEY = "source_system || ':' || source_record_type || ':' || source_record_id"


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the identity graph, as `identity_links` has it."""

    from_node: str
    to_node: str
    link_type: str
    is_used: bool
    verdict: str
    stated_as: str | None
    since_at: datetime | None
    valid_from: datetime | None
    valid_to: datetime | None
    confidence: Decimal
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a chain, and the node that it leads to."""

    reached: str
    link: Link


Chain = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One source record of the customer; `chain` leads to it from the oldest member, empty for that one itself.

    A record that no chain of believed links leads to has None there, and what `customer_identities` says about it.
    """

    key: str
    match_method: str
    match_confidence: Decimal
    matched_via: str | None
    first_seen_at: datetime | None
    chain: Chain | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What was asked for: the customer it means now, and how that was found."""

    asked: str
    customer_id: str
    found_by: str


@dataclass(slots=True)
class Evidence:
    """Everything that says who a customer is."""

    subject: Subject
    oldest: str
    records: list[Record]
    refused: list[Link] = field(default_factory=list)
    decided: list[Link] = field(default_factory=list)
    aliases: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)


# from the surest to the most forgiving way; the first that finds anybody is taken
_WAYS = {
    "its customer id": "select customer_id from marts.customer_identities where customer_id = $wanted",
    "an id it had before": """
        select customer_id from marts.customer_aliases
        where alias_customer_id = $wanted and is_current and customer_id is not null
    """,
    "the record that the id is made from": f"""
        select customer_id from marts.customer_identities where 'c_' || substr(md5({RECORD_KEY}), 1, 16) = $wanted
    """,
    "its person's id": "select customer_id from marts.customer_identities where person_id = $wanted",
    "a source record": f"select customer_id from marts.customer_identities where {RECORD_KEY} = $wanted",
    "a silo's own id": "select customer_id from marts.customer_identities where source_record_id = $wanted",
    "an identifier": """
        select customer_id from marts.identity_links
        where link_type not in ('alias', 'override') and customer_id is not null
            and (
                to_node = $wanted
                or substr(to_node, strpos(to_node, '=') + 1) = lower($wanted)
                or lower(stated_as) = lower($wanted)
            )
    """,
}


def find(connection: duckdb.DuckDBPyConnection, asked: str) -> list[Subject]:
    """Every customer that the subject may mean, the surest kind of match only; empty when nobody knows it."""
    wanted = asked.strip()
    for found_by, query in _WAYS.items():
        rows = connection.execute(f"select distinct * from ({query}) order by all", {"wanted": wanted}).fetchall()
        if rows:
            return [Subject(wanted, customer_id, found_by) for (customer_id,) in rows]
    return []


def gather(connection: duckdb.DuckDBPyConnection, subject: Subject) -> Evidence:
    """Chains, refusals, decisions, aliases and conflicts of one customer."""
    customer = {"customer": subject.customer_id}
    rows: list[tuple[Any, ...]] = connection.execute(
        f"select {RECORD_KEY}, match_method, match_confidence, matched_via, first_seen_at"
        " from marts.customer_identities where customer_id = $customer order by first_seen_at nulls last, 1",
        customer,
    ).fetchall()
    names = ", ".join(Link.__dataclass_fields__)
    links = [
        Link(*row)
        for row in connection.execute(
            f"select {names} from marts.identity_links where customer_id = $customer"
            " or (link_type = 'override' and to_node in"
            f" (select {RECORD_KEY} from marts.customer_identities where customer_id = $customer))"
            " order by from_node, to_node, link_type",
            customer,
        ).fetchall()
    ]
    keys = [row[0] for row in rows]
    oldest = next((key for key in keys if _names(key, subject.customer_id)), keys[0])
    chains = shortest_chains(oldest, [link for link in links if link.is_used])
    return Evidence(
        subject=subject,
        oldest=oldest,
        records=[Record(row[0], row[1], row[2], row[3], row[4], chains.get(row[0])) for row in rows],
        refused=[link for link in links if not link.is_used and link.link_type != "override"],
        decided=[link for link in links if link.link_type in {"alias", "override"}],
        aliases=_dicts(
            connection,
            "select alias_customer_id, valid_from, valid_to, origin, alias_record from marts.customer_aliases"
            " where customer_id = $customer order by valid_from, alias_customer_id",
            customer,
        ),
        conflicts=_dicts(
            connection,
            "select conflict_kind, subject, settlement, customer_count from marts.identity_conflicts"
            " where customer_id = $customer order by conflict_kind, subject",
            customer,
        ),
    )


def shortest_chains(start: str, links: Sequence[Link]) -> dict[str, Chain]:
    """The chain with the fewest links from `start` to every node that can be reached.

    Of equally long ones the surest (highest product of confidences), then the first by name: the answer depends on no
    row order.
    """
    neighbours: defaultdict[str, list[tuple[str, Link]]] = defaultdict(list)
    for link in sorted(links, key=repr):  # links that tie in everything above are taken in the order of what they say
        neighbours[link.from_node].append((link.to_node, link))
        neighbours[link.to_node].append((link.from_node, link))
    found: dict[str, Chain] = {}
    # (links, doubt, names along the way) orders the queue; the chain itself is never compared
    waiting: list[tuple[int, float, tuple[str, ...], int, Chain]] = [(0, -1.0, (start,), 0, ())]
    arrivals = 0
    while waiting:
        length, doubt, path, _, chain = heapq.heappop(waiting)
        if path[-1] in found:
            continue
        found[path[-1]] = chain
        for node, link in neighbours[path[-1]]:
            if node not in found:
                arrivals += 1
                waits = (
                    length + 1,
                    doubt * float(link.confidence),
                    (*path, node),
                    arrivals,
                    (*chain, Step(node, link)),
                )
                heapq.heappush(waiting, waits)
    return found


def require_marts(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse a file that was published before these marts existed.

    Raises:
        CannotRunError: if one of them is missing.
    """
    rows = connection.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
    missing = sorted(set(MARTS) - {name for (name,) in rows})
    if missing:
        raise CannotRunError(f"The file has no mart {missing[0]}: `lifecycle run` publishes one that has.")


def _names(record_key: str, customer_id: str) -> bool:
    """Whether the customer is named after this record (macro customer_id_of)."""
    return "c_" + md5(record_key.encode(), usedforsecurity=False).hexdigest()[:16] == customer_id


def _dicts(connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    answer = connection.execute(query, values)
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

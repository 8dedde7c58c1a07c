"""What the simulated company is like at the start of a day, and how that is kept between two advances.

Everything is arrays: one row per account (a company that signed up), person, prospect and subscription. The agenda
holds what is already decided for later (a renewal, a second payment attempt, an opened message). Identities are the
truth about who is who, noted in the moment a record is created.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from sandbox.world.columns import Table
from sandbox.world.dates import day_of
from sandbox.world.parameters import NEVER, WorldParameters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVENT_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("message_id", "type", "event", "user_id", "anonymous_id", "group_id", "product")]
    + [("properties", pa.string()), ("context", pa.string())]
    + [(name, pa.timestamp("us")) for name in ("original_timestamp", "sent_at", "received_at", "timestamp")]
)


class Phase(IntEnum):
    """How an account stands with us."""

    EVALUATING = 0  # signed up, nothing bought
    TRIALING = 1
    ACTIVE = 2
    PAST_DUE = 3
    GONE = 4  # the subscription ended or the trial ran out
    MERGED = 5  # bought by another customer


class Integration(IntEnum):
    """How far an account has come with the API."""

    NONE = 0
    STARTED = 1
    WORKING = 2
    EXTENDING = 3  # one works, another one is begun


class Edge(IntFlag):
    """The identity edge cases that an account, a person or a record takes part in."""

    NONE = 0
    SEVERAL_EMAILS = 1
    CASE_VARIANT = 2
    PLUS_ADDRESS = 4
    SHARED_INBOX = 8
    OUTSOURCED_BILLING = 16
    FREE_MAIL = 32
    DOMAIN_CHANGE = 64
    COMPANY_MERGER = 128
    DUPLICATE_BILLING_CUSTOMER = 256
    LEAD_AND_CONTACT = 512
    UNKNOWN_REQUESTER = 1024
    ANONYMOUS_BEFORE_SIGN_UP = 2048
    ANONYMOUS_NEVER_TIED = 4096
    REUSED_EMAIL = 8192


def _accounts() -> Table:
    return Table(
        account_id=("U16", ""), name=("U48", ""), domain=("U48", ""), old_domain=("U48", ""), edges=("i4", 0),
        prospect=("i4", -1), channel=("i1", 0), campaign=("i1", 0), currency=("i1", 0), zone=("i1", 0),
        signed_up_at=("f8", 0.0), first_paid_at=("f8", NEVER), phase=("i1", 0), size=("f4", 1.0),
        quality=("f4", 0.0), mood=("f4", 0.0), dormant_until=("i4", 0), faulty_until=("i4", 0),
        churn_pressure=("f4", 0.0), upgrade_pressure=("f4", 0.0), exposure_days=("f4", 0.0), hazard_sum=("f4", 0.0),
        affinity_editor=("f4", 0.0), affinity_esign=("f4", 0.0), affinity_api=("f4", 0.0),
        affinity_mobile=("f4", 0.0), integration=("i1", 0), integration_started_at=("f8", 0.0),
        nudged_until=("i4", 0), users=("i4", 0), seats=("i4", 0), subscription=("i4", -1),
        billing_customer=("U32", ""), merged_into=("i4", -1), owner=("i2", 0), organization=("i8", 0),
        company=("i4", 0), success_deal=("i4", 0), success_stage=("i1", 0), active_users=("i4", 0),
        first_user=("i4", -1), shielded_until=("i4", 0), seen_in_month=("i4", 0),
    )  # fmt: skip


def _people() -> Table:
    return Table(
        user_id=("U16", ""), account=("i4", -1), prospect=("i4", -1), first=("U16", ""), last=("U16", ""),
        email=("U72", ""), other_email=("U72", ""), edges=("i4", 0), joined_at=("f8", NEVER), leaves_at=("f8", NEVER),
        weight=("f4", 1.0), zendesk_user=("i8", 0), contact=("i4", 0), unsubscribed_at=("f8", NEVER),
        anonymous_id=("U40", ""), mobile=("?", False),
    )  # fmt: skip


def _prospects() -> Table:
    return Table(
        name=("U48", ""), domain=("U48", ""), channel=("i1", 0), campaign=("i1", 0), person=("i4", -1),
        account=("i4", -1), lead=("i4", 0), contact=("i4", 0), company=("i4", 0), deal=("i4", 0), seats=("i4", 1),
        owner=("i2", 0), seen_at=("f8", 0.0), linked=("?", True), quality=("f4", 0.0),
    )  # fmt: skip


def _subscriptions() -> Table:
    return Table(
        id=("U32", ""), account=("i4", -1), customer=("U32", ""), item=("U32", ""), metered_item=("U32", ""),
        status=("U12", ""), plan=("i1", 0), interval=("i1", 0), currency=("i1", 0), quantity=("i4", 1),
        metered=("?", False), coupon=("i1", -1), discount_id=("U32", ""), discount_start=("f8", 0.0),
        discount_end=("f8", NEVER), coupon_used=("?", False), anchor=("f8", 0.0), period=("i4", 0),
        period_start=("f8", 0.0), period_end=("f8", 0.0), created_at=("f8", 0.0), trial_end=("f8", 0.0),
        ending=("?", False), ended_at=("f8", NEVER), paused=("?", False), next_plan=("i1", -1), next_quantity=("i4", 0),
        open_invoice=("U32", ""), attempts=("i2", 0), balance=("i8", 0), invoices=("i4", 0), failed_at=("f8", NEVER),
        last_paid_invoice=("U32", ""), last_paid_amount=("i8", 0), usage=("f8", 0.0),
        canceled_at=("f8", NEVER), reason=("U24", ""), latest_invoice=("U32", ""), resumes_at=("f8", NEVER),
    )  # fmt: skip


def _identities() -> Table:
    return Table(
        source_system=("U12", ""), source_record_type=("U16", ""), source_record_id=("U40", ""), person=("i4", -1),
        account=("i4", -1), prospect=("i4", -1), edges=("i4", 0), at=("f8", 0.0),
    )  # fmt: skip


def _account_months() -> Table:
    return Table(
        account=("i4", 0), day=("i4", 0), plan=("U12", ""), status=("U12", ""), currency=("U4", ""), seats=("i4", 0),
        closing_mrr=("f8", 0.0), closing_mrr_usd=("f8", 0.0), closing_mrr_contract=("f8", 0.0), engagement=("f4", 0.0),
        churn_hazard=("f4", 0.0),
    )  # fmt: skip


def _spend() -> Table:
    return Table(
        day=("i4", 0), channel=("i1", 0), campaign=("U40", ""), platform=("U24", ""), cost_type=("U12", ""),
        currency=("U4", ""), amount=("f8", 0.0), impressions=("i8", 0), clicks=("i8", 0),
    )  # fmt: skip


def _effects() -> Table:
    return Table(
        delivery=("i8", 0), vendor=("U16", ""), action=("U72", ""), account=("i4", -1), effect=("U32", ""),
        size=("f4", 0.0), at=("f8", 0.0),
    )  # fmt: skip


def _report_mistakes() -> Table:
    return Table(
        day=("i4", 0), report=("U12", ""), metric=("U24", ""), kind=("U24", ""), amount=("f8", 0.0),
        corrected=("i4", -1),
    )  # fmt: skip


_PLAIN = frozenset({int, float, str, bool})

TABLES = {
    "accounts": _accounts, "people": _people, "prospects": _prospects, "subscriptions": _subscriptions,
    "identities": _identities, "account_months": _account_months, "spend": _spend, "effects": _effects,
    "report_mistakes": _report_mistakes,
}  # fmt: skip


class World:
    """The state at the start of `day`."""

    def __init__(self, parameters: WorldParameters) -> None:
        self.parameters = parameters
        self.day = 0
        self.accounts = _accounts()
        self.people = _people()
        self.prospects = _prospects()
        self.subscriptions = _subscriptions()
        self.identities = _identities()
        self._noted: list[tuple[Any, ...]] = []
        self.account_months = _account_months()
        self.spend = _spend()
        self.effects = _effects()
        self.report_mistakes = _report_mistakes()
        self.agenda: dict[int, list[tuple[float, int, str, list[Any]]]] = {}
        self.counters: dict[str, int] = {}
        self.dues: dict[str, int] = {}  # what is to be paid on the invoices that are not settled, in minor units
        self.refunded: set[str] = set()
        self.late_events = EVENT_SCHEMA.empty_table()

    def number(self, name: str, first: int = 1) -> int:
        """The next number of a sequence, beginning with `first`."""
        value = self.counters.get(name, first - 1) + 1
        self.counters[name] = value
        return value

    def schedule(self, at: float, what: str, *details: Any) -> None:
        """Put something on the agenda; the order of equal instants is the order of scheduling."""
        plain = [detail if type(detail) in _PLAIN else _plain(detail) for detail in details]
        entry = (float(at), self.number("agenda"), what, plain)
        self.agenda.setdefault(day_of(at), []).append(entry)

    def identify(
        self, record: str, record_id: Any, at: float, *, person: int = -1, account: int = -1, prospect: int = -1,
        edges: int = 0,
    ) -> None:  # fmt: skip
        """Note who a record ("zendesk.user") is about: part of the truth, never read by the pipeline."""
        system, _, kind = record.partition(".")
        self._noted.append((system, kind, str(record_id), person, account, prospect, edges, at))

    def note(self) -> None:
        """Move the identities of the day into their table."""
        self.identities.extend(self._noted)
        self._noted.clear()

    def save(self, folder: Path) -> None:
        """Write the whole state into an existing, empty folder."""
        for name in TABLES:
            getattr(self, name).save(folder / f"{name}.npz")
        rest = {
            "parameters": self.parameters.as_dict(),
            "day": self.day,
            "agenda": [[day, *entry] for day, entries in self.agenda.items() for entry in entries],
            "counters": self.counters,
            "dues": self.dues,
            "refunded": sorted(self.refunded),
        }
        (folder / "world.json").write_bytes(orjson.dumps(rest))
        pq.write_table(self.late_events, folder / "late_events.parquet")

    @classmethod
    def load(cls, folder: Path) -> World:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if the folder holds no world.
        """
        rest = orjson.loads((folder / "world.json").read_bytes())
        world = cls(WorldParameters.from_dict(rest["parameters"]))
        world.day = rest["day"]
        for name in TABLES:
            getattr(world, name).load(folder / f"{name}.npz")
        for day, at, order, what, details in rest["agenda"]:
            world.agenda.setdefault(day, []).append((at, order, what, details))
        world.counters = rest["counters"]
        world.dues = rest["dues"]
        world.refunded = set(rest["refunded"])
        world.late_events = pq.read_table(folder / "late_events.parquet", schema=EVENT_SCHEMA)
        return world

    @staticmethod
    def change_parameters(folder: Path, change: Callable[[WorldParameters], WorldParameters]) -> None:
        """Give the world that `save` wrote there other parameters; all else stays as it is."""
        path = folder / "world.json"
        rest = orjson.loads(path.read_bytes())
        rest["parameters"] = change(WorldParameters.from_dict(rest["parameters"])).as_dict()
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(rest))
        fresh.replace(path)


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's, so that the agenda fits into JSON."""
    return value.item() if hasattr(value, "item") else value

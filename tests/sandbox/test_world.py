from __future__ import annotations

import re
import shutil
from collections import Counter, defaultdict
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from sandbox import generate as generator
from sandbox.generate import advance, clock_of, generate, store_path
from sandbox.store import Store
from sandbox.world.dates import day_start
from sandbox.world.parameters import DAY, EdgeCases, WorldParameters
from tests.sandbox.worlds import SMALL, bodies, fingerprint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("world")
    generate(data_dir, SMALL)
    return data_dir


@pytest.fixture(scope="module")
def shown(world: Path) -> dict[str, str]:
    """What the world shows, in digests."""
    return fingerprint(world)


@pytest.fixture
def copied(world: Path, tmp_path: Path) -> Path:
    shutil.copytree(world, tmp_path / "data")
    return tmp_path / "data"


def events(data_dir: Path) -> list[dict[str, Any]]:
    table = pq.read_table(data_dir / "sandbox" / "bucket" / "events")
    return table.to_pylist()


def test_the_same_parameters_give_the_same_world(world: Path, shown: dict[str, str], tmp_path: Path) -> None:
    generate(tmp_path, SMALL)
    assert fingerprint(tmp_path) == shown
    files = [path.relative_to(world) for path in world.rglob("*") if path.is_file()]
    assert [path for path in files if (world / path).read_bytes() != (tmp_path / path).read_bytes()] == []


def test_another_seed_gives_another_world(tmp_path: Path) -> None:
    invoices = []
    for seed in (7, 8):
        generate(tmp_path / str(seed), WorldParameters(customers=20, months=1, events_per_day=20, seed=seed))
        invoices.append(list(bodies(tmp_path / str(seed), "stripe.invoices")))
    assert all(invoices)
    assert invoices[0] != invoices[1]


def test_generating_all_days_equals_stopping_early_and_advancing(
    shown: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = SMALL.days
    monkeypatch.setattr(generator, "clock_of", lambda day: clock_of(day - 4))
    generate(tmp_path, SMALL)
    monkeypatch.undo()
    advance(tmp_path, 1)
    summary = advance(tmp_path, 3)
    assert summary.days == days
    assert fingerprint(tmp_path) == shown


def test_an_advance_that_was_killed_is_simply_done_again(copied: Path, tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(copied, undisturbed)
    advance(undisturbed, 2)
    calls = 0

    def die(_done: int, _todo: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        advance(copied, 2, progress=die)
    advance(copied, 2)
    assert fingerprint(copied) == fingerprint(undisturbed)


def test_nothing_shows_before_it_happened(world: Path) -> None:
    store = Store(store_path(world))
    now = store.now()
    store.close()
    assert now == clock_of(SMALL.days)
    received = [event["received_at"].timestamp() for event in events(world)]
    assert max(received) <= now
    for collection in ("stripe.invoices", "stripe.events", "stripe.subscriptions"):
        assert all(body["created"] < now for body in bodies(world, collection))
    for name in ("identities", "accounts"):
        table = pq.read_table(world / "sandbox" / "truth" / f"{name}.parquet")
        column = "created_at" if name == "identities" else "signed_up_at"
        assert all(at.timestamp() < now for at in table[column].to_pylist())


def test_every_edge_case_happens_and_is_labelled(world: Path) -> None:
    truth = pq.read_table(world / "sandbox" / "truth" / "identities.parquet").to_pylist()
    labels = Counter(name for row in truth for name in row["edge_cases"].split(",") if name)
    assert set(labels) == {field.name for field in fields(EdgeCases)}
    assert all(row["edge_case"] in (*row["edge_cases"].split(","), "none") for row in truth)


def test_frequencies_of_zero_remove_the_edge_cases(tmp_path: Path) -> None:
    none = EdgeCases(**{field.name: 0.0 for field in fields(EdgeCases)})
    generate(tmp_path, WorldParameters(customers=60, months=3, events_per_day=50, edge_cases=none))
    truth = pq.read_table(tmp_path / "sandbox" / "truth" / "identities.parquet").to_pylist()
    assert {row["edge_case"] for row in truth} == {"none"}


def test_a_frequency_outside_of_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="free_mail"):
        EdgeCases(free_mail=1.5)
    with pytest.raises(ValueError, match="customers"):
        WorldParameters(customers=0)


def test_the_truth_knows_every_record_exactly_once(world: Path) -> None:
    truth = pq.read_table(world / "sandbox" / "truth" / "identities.parquet").to_pylist()
    known = Counter((row["source_system"], row["source_record_type"], row["source_record_id"]) for row in truth)
    assert max(known.values()) == 1
    shown = {
        ("stripe", "customer"): {body["id"] for body in bodies(world, "stripe.customers")},
        ("zendesk", "user"): {str(body["id"]) for body in bodies(world, "zendesk.users")},
        ("zendesk", "organization"): {str(body["id"]) for body in bodies(world, "zendesk.organizations")},
        ("bitrix24", "lead"): {str(body["id"]) for body in bodies(world, "bitrix24.leads")},
        ("bitrix24", "contact"): {str(body["id"]) for body in bodies(world, "bitrix24.contacts")},
        ("bitrix24", "company"): {str(body["id"]) for body in bodies(world, "bitrix24.companies")},
        ("bitrix24", "deal"): {str(body["id"]) for body in bodies(world, "bitrix24.deals")},
        ("customerio", "person"): {body["id"] for body in bodies(world, "customerio.customers")},
    }
    tracked = events(world)
    shown["product", "user"] = {event["user_id"] for event in tracked} - {None}
    shown["product", "account"] = {event["group_id"] for event in tracked} - {None}
    shown["product", "anonymous"] = {event["anonymous_id"] for event in tracked} - {None}
    for (system, kind), ids in shown.items():
        in_truth = {key[2] for key in known if key[:2] == (system, kind)}
        assert ids <= in_truth, f"{system} {kind}: records that the truth does not know"
        late = 0.02 * len(in_truth) + 3 if system == "product" else 0  # what is on its way arrives later
        assert len(in_truth - ids) <= late, f"{system} {kind}: truth about records that nobody sees"


def test_all_addresses_are_invented(world: Path) -> None:
    allowed = re.compile(r"@(.*\.example|gmail\.com|outlook\.com|yahoo\.com|hotmail\.com|icloud\.com)$", re.IGNORECASE)
    emails = [body["email"] for body in bodies(world, "stripe.customers")]
    emails += [body["email"] for body in bodies(world, "zendesk.users")]
    fields_of_contacts = [field for body in bodies(world, "bitrix24.contacts") for field in body["fm"]]
    emails += [field["value"] for field in fields_of_contacts if field["typeId"] == "EMAIL"]
    assert len(emails) > 100
    assert all(allowed.search(email) for email in emails)


def test_messages_arrive_late_repeatedly_and_across_partitions(world: Path) -> None:
    tracked = events(world)
    copies = Counter(event["message_id"] for event in tracked)
    repeated = [event for event in tracked if copies[event["message_id"]] > 1]
    assert 0.001 < 1 - len(copies) / len(tracked) < 0.006
    partitions = defaultdict(set)
    for event in repeated:
        partitions[event["message_id"]].add(event["received_date"])
    assert any(len(days) > 1 for days in partitions.values())
    lag = [(event["received_at"] - event["timestamp"]).total_seconds() for event in tracked]
    assert min(lag) >= 0
    assert sum(one > DAY for one in lag) > 10
    for event in tracked[:2000]:
        journey = (event["sent_at"] - event["original_timestamp"]) - (event["received_at"] - event["timestamp"])
        if copies[event["message_id"]] == 1:
            assert abs(journey.total_seconds()) < 0.01


def test_behaviours_that_start_actions_are_recent(world: Path) -> None:
    now = clock_of(SMALL.days)
    recent = [event for event in events(world) if event["timestamp"].timestamp() > now - 21 * DAY]
    names = {event["event"] for event in recent}
    assert {"integration_started", "export_failed", "plan_limit_reached"} <= names
    failures = defaultdict(list)
    for event in events(world):
        if event["event"] == "export_failed":
            failures[event["group_id"]].append(event["timestamp"].timestamp())
    runs = 0
    for times in map(sorted, failures.values()):
        runs += any(third - first < 3600 for first, third in zip(times, times[2:], strict=False))
    assert runs, "no account had three failed exports within an hour"


def test_usage_drives_expansion_and_churn(world: Path) -> None:
    months = pq.read_table(world / "sandbox" / "truth" / "account_months.parquet").to_pandas()
    paying = months[months["closing_mrr"] > 0]
    assert paying["engagement"].rank().corr(paying["churn_hazard"].rank()) < -0.4


def test_a_partner_integration_is_the_better_customer(world: Path) -> None:
    channels = pq.read_table(world / "sandbox" / "truth" / "channel_economics.parquet").to_pylist()
    hazard = {row["channel"]: row["true_monthly_hazard"] for row in channels if row["customers"]}
    assert len(channels) >= 6
    assert hazard["partner_api"] == min(hazard.values())


def test_spend_is_known_until_yesterday(world: Path) -> None:
    files = sorted(path.parent.name for path in (world / "sandbox" / "bucket" / "spend").glob("*/spend.csv"))
    assert len(files) == SMALL.days
    assert files[0] == "spend_date=2025-05-01"
    assert day_start(SMALL.days) - day_start(SMALL.days - 1) == DAY

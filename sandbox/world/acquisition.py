"""How companies find us: spend makes leads, some leads sign up. Sales and sign-up each leave their own records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sandbox.world import names, people
from sandbox.world.catalog import CHANNELS, CURRENCY_SHARES, Channel
from sandbox.world.dates import utc
from sandbox.world.parameters import DAY, DAYS_PER_MONTH, HOUR
from sandbox.world.state import Edge, Phase

if TYPE_CHECKING:
    from sandbox.world.day import Day

COUNTRIES = (("US", -5), ("US", -8), ("GB", 0), ("DE", 1), ("FR", 1), ("ES", 1), ("PL", 1), ("JP", 9))
LAUNCH_RATE = 2.6
"""How many times the mean number of leads come in the first ninety days, when everybody hears of us."""
_LATE_SIGN_UPS = 1.05
"""Some of the last leads sign up after the horizon; a little more leads keep the expected number of accounts."""


def leads_per_day(day: Day) -> float:
    """The expected number of leads today: a strong start, quiet week-ends, else steady."""
    parameters = day.world.parameters
    conversion = sum(channel.share * channel.conversion for channel in CHANNELS)
    mean = _LATE_SIGN_UPS * parameters.customers / conversion / parameters.days
    weekday = 0.5 if utc(day.start).weekday() >= 5 else 1.2
    launch = min(90.0, parameters.days / 4)
    later = 1 - (LAUNCH_RATE - 1) * launch / max(parameters.days - launch, 1.0)
    return mean * weekday * (LAUNCH_RATE if day.number < launch else later)


def arrive(day: Day) -> None:
    """Spend today's budget and meet today's prospects."""
    rng = day.rng("acquisition")
    expected = leads_per_day(day)
    booked: list[tuple[object, ...]] = []
    for number, channel in enumerate(CHANNELS):
        budget = expected * channel.share * channel.cost_per_lead * float(rng.lognormal(-0.02, 0.2))
        shares = rng.dirichlet(np.full(len(channel.campaigns), 6.0))
        booked += _spend_of(day, number, channel, budget, shares)
        for _ in range(int(rng.poisson(budget / channel.cost_per_lead))):
            _meet(day, number, channel, int(rng.choice(len(channel.campaigns), p=shares)))
    day.world.spend.extend(booked)


def _spend_of(day: Day, number: int, channel: Channel, budget: float, shares: np.ndarray) -> list[tuple[object, ...]]:
    """A channel's spend of the day: media or variable cost by campaign, people and tools on the first of the month."""
    rng = day.rng("spend")
    rows: list[tuple[object, ...]] = []
    media = channel.name in ("paid_search", "paid_social")
    currency = "EUR" if channel.name == "events" else "USD"
    rate = 1.08 if currency == "EUR" else 1.0
    for campaign, share in zip(channel.campaigns, shares.tolist(), strict=True):
        clicks = int(rng.poisson(share * budget / 3.5)) if media else 0
        shown = clicks * int(rng.integers(30, 60))
        cost_type = "media" if media else "variable"
        amount = round(share * budget / rate, 2)
        rows.append((day.number, number, campaign, channel.platform, cost_type, currency, amount, shown, clicks))
    if utc(day.start).day == 1:
        scale = day.world.parameters.customers / 2000
        for cost_type, amount in (("salary", channel.monthly_salary), ("tools", channel.monthly_tools)):
            rows.append((day.number, number, "", "internal", cost_type, "USD", round(amount * scale, 2), 0, 0))
    return rows


def _meet(day: Day, number: int, channel: Channel, campaign: int) -> None:
    world = day.world
    rng = day.rng("prospects")
    frequency = world.parameters.edge_cases
    company = world.number("company")
    name, domain = names.company(rng, company)
    if rng.random() < frequency.free_mail:
        domain = names.FREE_MAIL[int(rng.integers(len(names.FREE_MAIL)))]
    quality = float(rng.normal(channel.quality, 0.45))
    zone = COUNTRIES[int(rng.integers(len(COUNTRIES)))][1]
    at = day.within_hours(rng, zone)
    prospect = world.prospects.append(
        name=name, domain=domain, channel=number, campaign=campaign, seats=1 + int(rng.lognormal(1.1, 0.9)),
        owner=1 + int(rng.integers(8)), seen_at=at, quality=quality,
    )  # fmt: skip
    person = people.create(day, rng, domain, prospect=prospect)
    world.prospects.person[prospect] = person
    _browse(day, at, prospect, person, channel, campaign)
    converts = rng.random() < channel.conversion
    if channel.path == "self_serve":
        if converts:
            world.schedule(at + 600 + float(rng.exponential(2.2 * DAY)), "sign_up", prospect, zone)
        else:
            world.schedule(at + 300, "lead", prospect, "")
        return
    world.schedule(at + 300, "lead", prospect, "sales" if converts or rng.random() < 0.4 else "")
    if converts:
        world.schedule(at + float(rng.uniform(12, 50)) * DAY, "sign_up", prospect, zone)


def _browse(day: Day, at: float, prospect: int, person: int, channel: Channel, campaign: int) -> None:
    """Page views before anybody knows who it is, with the campaign that brought the visitor."""
    world = day.world
    rng = day.rng("browse")
    frequency = world.parameters.edge_cases
    context = {"campaign": {"name": channel.campaigns[campaign]}}
    if channel.utm:
        context["campaign"] |= {"source": channel.utm[0], "medium": channel.utm[1]}
    devices = []
    if rng.random() < frequency.anonymous_before_sign_up:
        devices.append(Edge.ANONYMOUS_BEFORE_SIGN_UP)
    if rng.random() < frequency.anonymous_never_tied:
        devices.append(Edge.ANONYMOUS_NEVER_TIED)
    for edge in devices:
        anonymous = f"anon-{day.token('anonymous', 8)}"
        if edge == Edge.ANONYMOUS_BEFORE_SIGN_UP:
            world.people.anonymous_id[person] = anonymous
        world.identify("product.anonymous", anonymous, at, person=person, prospect=prospect, edges=int(edge))
        path = ("/", "/pricing", "/product/esign", "/blog/templates")
        for view in range(1 + int(rng.integers(3))):
            moment = max(day.start, at - 240 + 70 * view)
            page = {"path": path[int(rng.integers(len(path)))]}
            day.track(moment, None, type="page", anonymous_id=anonymous, properties=page, context=context)


def sign_up(day: Day, at: float, prospect: int, zone: int) -> None:
    """A prospect opens an account: the product, marketing, support and sales each make their record of it."""
    world = day.world
    prospects = world.prospects
    rng = day.rng("sign_up")
    frequency = world.parameters.edge_cases
    channel = int(prospects.channel[prospect])
    person = int(prospects.person[prospect])
    affinity = rng.dirichlet((5.0, 3.0, 0.8, 1.2))
    if CHANNELS[channel].name == "partner_api":
        affinity = rng.dirichlet((2.5, 2.0, 4.0, 0.5))
    edges = Edge(int(world.people.edges[person]) & Edge.FREE_MAIL)
    account = world.accounts.append(
        account_id=f"acc_{day.token('account', 5)}", name=str(prospects.name[prospect]),
        domain=str(prospects.domain[prospect]), prospect=prospect, channel=channel,
        campaign=int(prospects.campaign[prospect]), currency=int(rng.choice(len(CURRENCY_SHARES), p=CURRENCY_SHARES)),
        zone=zone, signed_up_at=at, size=float(prospects.seats[prospect]) * float(rng.lognormal(0.3, 0.5)),
        quality=float(prospects.quality[prospect]), affinity_editor=affinity[0], affinity_esign=affinity[1],
        affinity_api=affinity[2], affinity_mobile=affinity[3], owner=int(prospects.owner[prospect]),
        first_user=person, edges=int(edges),
    )  # fmt: skip
    prospects.account[prospect] = account
    if rng.random() < frequency.reused_email:
        _take_over_address(day, account, person)
    world.identify("product.account", str(world.accounts.account_id[account]), at, account=account, edges=int(edges))
    people.join(day, at, account, person, by="sign_up")
    if not prospects.lead[prospect] and rng.random() < 0.88:
        world.schedule(at + 120, "lead", prospect, "converted")
    elif prospects.lead[prospect]:
        world.schedule(at + 120, "convert", prospect)
    if rng.random() < 0.92:
        world.schedule(at + 300, "organization", account)
    world.schedule(at + 900, "purchase", account, bool(CHANNELS[channel].path == "self_serve"))
    for share, what, earliest, latest in (
        (frequency.domain_change, "domain_changed", 40, 260),
        (frequency.company_merger, "companies_merge", 60, 300),
        (frequency.duplicate_billing_customer, "duplicate_customer", 3, 150),
    ):
        if rng.random() < share:
            world.schedule(at + float(rng.uniform(earliest, latest)) * DAY, what, account)
    for _ in range(int(rng.poisson(0.42 * min(float(prospects.seats[prospect]), 5.0)))):
        world.schedule(at + HOUR + float(rng.exponential(1.5 * DAY)), "invited", account)


def _take_over_address(day: Day, account: int, person: int) -> None:
    """The new customer writes from an address that belonged to somebody at a company that left."""
    world = day.world
    left = world.accounts.first_user[(world.accounts.phase == Phase.GONE) & (world.accounts.first_user >= 0)]
    left = left[(world.people.edges[left] & Edge.REUSED_EMAIL) == 0]
    if not left.size:
        return
    former = int(left[int(day.rng("takeover").integers(left.size))])
    world.people.email[person] = str(world.people.email[former])
    for both in (former, person):
        world.people.edges[both] |= Edge.REUSED_EMAIL
    world.accounts.edges[account] |= Edge.REUSED_EMAIL


def months_since(at: float, since: float) -> float:
    """The time between two instants in mean months."""
    return (at - since) / DAY / DAYS_PER_MONTH

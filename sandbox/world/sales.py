"""The CRM: leads and what becomes of them: contacts, companies, deals won or lost, customers to look after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.world import people
from sandbox.world.catalog import CHANNELS, CURRENCIES, unit_amount
from sandbox.world.parameters import DAY, HOUR
from sandbox.world.state import Edge, Phase

if TYPE_CHECKING:
    from sandbox.world.day import Day

PIPELINE = ("NEW", "PREPARATION", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE")
SUCCESS = ("C1:NEW", "C1:PREPARATION", "C1:ADOPTED")
POSTS = ("Operations manager", "Head of legal", "Office manager", "CTO", "Procurement", "Founder", "Sales director")


def _origin(day: Day, prospect: int) -> dict[str, Any]:
    """The campaign fields that all CRM records of a prospect carry."""
    prospects = day.world.prospects
    channel = CHANNELS[int(prospects.channel[prospect])]
    source, medium = channel.utm or (None, None)
    campaign = channel.campaigns[int(prospects.campaign[prospect])] if channel.utm else None
    return {"source_id": channel.source_id, "utm_source": source, "utm_medium": medium, "utm_campaign": campaign}


def _edges(day: Day, prospect: int, extra: Edge = Edge.NONE) -> int:
    account = int(day.world.prospects.account[prospect])
    return int(extra) | (int(day.world.accounts.edges[account]) if account >= 0 else 0)


def lead(day: Day, at: float, prospect: int, path: str) -> None:
    """Somebody filled in a form, was met or was called: a lead, to be converted, worked on or thrown away."""
    world = day.world
    prospects = world.prospects
    rng = day.rng("leads")
    number = world.number("lead")
    person = int(prospects.person[prospect])
    email, edges = people.address_elsewhere(day, rng, person, "docs")
    prospects.lead[prospect] = number
    day.happened(
        at, "bitrix24.lead_created", key=number, name=str(world.people.first[person]),
        last_name=str(world.people.last[person]), company_title=str(prospects.name[prospect]), email=email,
        owner=int(prospects.owner[prospect]), account_id=None, **_origin(day, prospect),
    )  # fmt: skip
    account = int(prospects.account[prospect])
    world.identify(
        "bitrix24.lead", number, at, person=person, account=account, prospect=prospect,
        edges=_edges(day, prospect, edges),
    )  # fmt: skip
    if path == "converted":
        convert(day, at + 240, prospect)
    elif path == "sales":
        world.schedule(at + float(rng.uniform(0.5, 5)) * DAY, "qualified", prospect)
    else:
        draw = rng.random()
        status = "JUNK" if draw < 0.45 else "IN_PROCESS"
        world.schedule(at + float(rng.uniform(0.2, 9)) * DAY, "lead_status", prospect, status)


def lead_status(day: Day, at: float, prospect: int, status: str) -> None:
    """A lead is looked at and judged."""
    prospects = day.world.prospects
    if prospects.company[prospect] == 0:
        day.happened(
            at, "bitrix24.changed", entity="leads", key=int(prospects.lead[prospect]), changes={"stageId": status}
        )


def convert(day: Day, at: float, prospect: int) -> None:
    """A lead becomes a contact of a company; not always does the contact remember its lead."""
    world = day.world
    prospects, accounts = world.prospects, world.accounts
    account = int(prospects.account[prospect])
    if prospects.company[prospect] == 0:
        _company(day, at, prospect)
        rng = day.rng("convert")
        forgotten = rng.random() < world.parameters.edge_cases.lead_and_contact
        prospects.linked[prospect] = not forgotten
        person = int(prospects.person[prospect])
        _contact(day, at + 20, prospect, person, lead=0 if forgotten else int(prospects.lead[prospect]))
        changes: dict[str, Any] = {"stageId": "CONVERTED"}
        if not forgotten:
            changes["companyId"] = int(prospects.company[prospect])
            changes["contactId"] = int(prospects.contact[prospect])
        day.happened(at + 30, "bitrix24.changed", entity="leads", key=int(prospects.lead[prospect]), changes=changes)
    if account >= 0:
        company = int(prospects.company[prospect])
        accounts.company[account] = company
        if day.rng("convert").random() < 0.55:
            known = {"ufCrmAccountId": str(accounts.account_id[account])}
            day.happened(at + 60, "bitrix24.changed", entity="companies", key=company, changes=known)
        if prospects.deal[prospect] == 0 and day.rng("convert").random() < 0.75:
            _deal(day, at + 120, prospect)


def _company(day: Day, at: float, prospect: int) -> None:
    world = day.world
    prospects = world.prospects
    rng = day.rng("companies")
    number = world.number("crm_company")
    prospects.company[prospect] = number
    domain = str(prospects.domain[prospect])
    own = domain.endswith(".example")
    account = int(prospects.account[prospect])
    day.happened(
        at, "bitrix24.company_created", key=number, title=str(prospects.name[prospect]),
        web=("https://www." if rng.random() < 0.5 else "") + domain if own and rng.random() < 0.85 else None,
        email=f"info@{domain}" if own and rng.random() < 0.4 else None, owner=int(prospects.owner[prospect]),
        seats=int(prospects.seats[prospect]), lead=int(prospects.lead[prospect]),
    )  # fmt: skip
    world.identify("bitrix24.company", number, at, account=account, prospect=prospect, edges=_edges(day, prospect))


def _contact(day: Day, at: float, prospect: int, person: int, *, lead: int) -> int:
    world = day.world
    rng = day.rng("contacts")
    number = world.number("contact")
    account = int(world.prospects.account[prospect])
    email, edges = people.address_elsewhere(day, rng, person, "crm")
    emails = [email]
    if world.people.other_email[person] and rng.random() < 0.5:
        emails = [str(world.people.email[person]), str(world.people.other_email[person])]
    if not lead and person == world.prospects.person[prospect]:
        edges |= Edge.LEAD_AND_CONTACT
    if person == world.prospects.person[prospect]:
        world.prospects.contact[prospect] = number
    world.people.contact[person] = number
    day.happened(
        at, "bitrix24.contact_created", key=number, name=str(world.people.first[person]),
        last_name=str(world.people.last[person]), emails=emails, company=int(world.prospects.company[prospect]),
        lead=lead, post=POSTS[int(rng.integers(len(POSTS)))], owner=int(world.prospects.owner[prospect]),
        **_origin(day, prospect),
    )  # fmt: skip
    world.identify(
        "bitrix24.contact", number, at, person=person, account=account, prospect=prospect,
        edges=_edges(day, prospect, edges),
    )  # fmt: skip
    return number


def contact(day: Day, at: float, account: int, person: int) -> None:
    """Sales notes another user of a customer."""
    prospect = int(day.world.accounts.prospect[account])
    if day.world.prospects.company[prospect] and not day.world.people.contact[person]:
        _contact(day, at, prospect, person, lead=0)


def _deal(day: Day, at: float, prospect: int) -> None:
    world = day.world
    prospects = world.prospects
    number = world.number("deal")
    prospects.deal[prospect] = number
    account = int(prospects.account[prospect])
    currency = CURRENCIES[int(world.accounts.currency[account])] if account >= 0 else "usd"
    _new_deal(day, at, number, prospect, 0, f"{prospects.name[prospect]}: new business", currency)


def _new_deal(day: Day, at: float, number: int, prospect: int, category: int, title: str, currency: str) -> None:
    world = day.world
    prospects = world.prospects
    account = int(prospects.account[prospect])
    seats = int(world.accounts.seats[account]) if account >= 0 else 0
    amount = 12 * unit_amount(1, 0, currency) * (seats or int(prospects.seats[prospect]))
    known = account >= 0 and day.rng("deals").random() < 0.4
    day.happened(
        at, "bitrix24.deal_created", key=number, title=title, category=category,
        stage="C1:NEW" if category else "NEW", company=int(prospects.company[prospect]),
        contact=int(prospects.contact[prospect]), lead=int(prospects.lead[prospect]) if not category else 0,
        owner=int(prospects.owner[prospect]), amount=amount / (1 if currency == "jpy" else 100), currency=currency,
        account_id=str(world.accounts.account_id[account]) if known else None, **_origin(day, prospect),
    )  # fmt: skip
    world.identify("bitrix24.deal", number, at, account=account, prospect=prospect, edges=_edges(day, prospect))


def qualified(day: Day, at: float, prospect: int) -> None:
    """A lead that is worth the time of sales: contact, company and a deal that moves on or is lost."""
    world = day.world
    rng = day.rng("qualified")
    if world.prospects.company[prospect]:
        return
    convert(day, at, prospect)
    _deal(day, at + 300, prospect)
    moment = at
    for stage in PIPELINE[1 : 2 + int(rng.integers(len(PIPELINE) - 1))]:
        moment += float(rng.uniform(1, 8)) * DAY
        world.schedule(moment, "deal_stage", prospect, stage)
    world.schedule(max(moment, at + 55 * DAY) + DAY, "deal_given_up", prospect)


def deal_stage(day: Day, at: float, prospect: int, stage: str) -> None:
    """A new-business deal moves on, unless it is decided."""
    deal = int(day.world.prospects.deal[prospect])
    if deal > 0:
        day.happened(at, "bitrix24.changed", entity="deals", key=deal, changes={"stageId": stage})


def deal_given_up(day: Day, at: float, prospect: int) -> None:
    """A deal that led to nothing."""
    if day.world.prospects.account[prospect] < 0:
        deal_closed(day, at, prospect, "LOSE")


def deal_closed(day: Day, at: float, prospect: int, stage: str) -> None:
    """A new-business deal is decided; its number is kept as a negative one so that nothing moves it again."""
    prospects = day.world.prospects
    deal = int(prospects.deal[prospect])
    if deal > 0:
        day.happened(at, "bitrix24.deal_closed", key=deal, stage=stage)
        prospects.deal[prospect] = -deal


def won(day: Day, at: float, account: int) -> None:
    """The first payment: the deal is won, and customer success takes over with a deal in its own pipeline."""
    world = day.world
    accounts = world.accounts
    prospect = int(accounts.prospect[account])
    deal_closed(day, at, prospect, "WON")
    if not accounts.company[account] or accounts.success_deal[account] or day.rng("won").random() > 0.8:
        return
    number = world.number("deal")
    accounts.success_deal[account] = number
    currency = CURRENCIES[int(accounts.currency[account])]
    _new_deal(day, at + HOUR, number, prospect, 1, f"{accounts.name[account]}: adoption", currency)
    world.schedule(at + float(day.rng("won").uniform(2, 12)) * DAY, "success_stage", account, 1)


def success_stage(day: Day, at: float, account: int, stage: int) -> None:
    """Customer success moves its deal on when somebody gets round to it; many stay in onboarding for long."""
    world = day.world
    accounts = world.accounts
    paying = accounts.phase[account] in (Phase.ACTIVE, Phase.PAST_DUE)
    if not paying or accounts.success_deal[account] <= 0 or accounts.success_stage[account] >= stage:
        return
    accounts.success_stage[account] = stage
    day.happened(
        at, "bitrix24.changed", entity="deals", key=int(accounts.success_deal[account]),
        changes={"stageId": SUCCESS[stage]},
    )  # fmt: skip
    rng = day.rng("success")
    if stage == 1 and rng.random() < 0.3:
        world.schedule(at + float(rng.uniform(30, 150)) * DAY, "success_stage", account, 2)


def lost(day: Day, at: float, account: int) -> None:
    """The subscription ended: open deals are lost."""
    world = day.world
    accounts = world.accounts
    if accounts.phase[account] in (Phase.ACTIVE, Phase.TRIALING):
        return
    deal_closed(day, at, int(accounts.prospect[account]), "LOSE")
    if accounts.success_deal[account] > 0:
        day.happened(at, "bitrix24.deal_closed", key=int(accounts.success_deal[account]), stage="C1:LOSE")
        accounts.success_deal[account] = -int(accounts.success_deal[account])

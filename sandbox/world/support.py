"""The help desk: organisations and users are made as accounts sign up and people write; tickets have a life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.world import names, people
from sandbox.world.parameters import DAY, HOUR
from sandbox.world.state import Edge, Phase

if TYPE_CHECKING:
    import numpy as np

    from sandbox.world.day import Day

TICKETS_PER_VISIT = 0.0085
SUBJECTS = {
    "export": ("Exports keep failing", "PDF export does not work", "Document export error again"),
    "payment": ("Card was declined", "Question about a failed payment"),
    "question": (
        "How do I change the signing order?", "Cannot find a shared document", "Template does not save",
        "Question about our invoice", "Single sign-on setup", "Signature image looks blurred", "API key permissions",
        "Please add another administrator", "Mobile scan is cut off", "Where are my archived envelopes?",
    ),
}  # fmt: skip
TAGS = {"export": ["export", "bug"], "payment": ["billing"], "question": ["how_to"]}
AGENTS = tuple(range(9001, 9007))
FIRST_TICKET, FIRST_USER, FIRST_ORGANIZATION = 1001, 20001, 5001


def organization(day: Day, at: float, account: int) -> None:
    """The help desk gets to know the company, most of the time with our account id; often its first user too."""
    world = day.world
    accounts = world.accounts
    rng = day.rng("organizations")
    number = world.number("organization", FIRST_ORGANIZATION)
    accounts.organization[account] = number
    domain = str(accounts.domain[account])
    known = rng.random() < 0.72 or not domain.endswith(".example")
    day.happened(
        at, "zendesk.organization_created", key=number, name=str(accounts.name[account]),
        external_id=str(accounts.account_id[account]) if known else None,
        domain_names=[domain] if domain.endswith(".example") else [],
    )  # fmt: skip
    world.identify("zendesk.organization", number, at, account=account, edges=int(accounts.edges[account]))
    if rng.random() < 0.45:
        requester(day, rng, at + 60, account, int(accounts.first_user[account]))


def requester(day: Day, rng: np.random.Generator, at: float, account: int, person: int) -> int:
    """The help desk user of a person, made when the person is first heard of; 0 if the address is somebody else's."""
    world = day.world
    if world.people.zendesk_user[person]:
        return int(world.people.zendesk_user[person])
    email, edges = people.address_elsewhere(day, rng, person, "support", folded=True)
    if edges & Edge.REUSED_EMAIL and ((world.people.email == email) & (world.people.zendesk_user > 0)).any():
        return 0
    number = world.number("zendesk_user", FIRST_USER)
    world.people.zendesk_user[person] = number
    user = str(world.people.user_id[person])
    in_product = user != "" and (rng.random() < 0.5 or bool(edges & Edge.SEVERAL_EMAILS and rng.random() < 0.7))
    day.happened(
        at, "zendesk.user_created", key=number, name=people.full_name(day, person), email=email,
        external_id=user if in_product else None, organization_id=_organization_of(day, rng, account, email),
    )  # fmt: skip
    world.identify("zendesk.user", number, at, person=person, account=account, edges=int(edges))
    return number


def _organization_of(day: Day, rng: np.random.Generator, account: int, email: str) -> int | None:
    """Zendesk assigns by domain; where that does not work an agent does, sometimes."""
    accounts = day.world.accounts
    number = int(accounts.organization[account])
    if not number:
        return None
    own = email.rpartition("@")[2].lower() == str(accounts.domain[account])
    return number if (own and email.endswith(".example")) or rng.random() < 0.55 else None


def write_in(day: Day) -> None:
    """Those who work today have questions."""
    world = day.world
    accounts = world.accounts
    rng = day.rng("support")
    expected = TICKETS_PER_VISIT * accounts.active_users * (1 + (accounts.phase == Phase.TRIALING))
    for account in (rng.random(len(accounts)) < expected).nonzero()[0].tolist():
        world.schedule(day.within_hours(rng, int(accounts.zone[account])), "complain", account, "question")


def complain(day: Day, at: float, account: int, about: str, person: int = -1) -> None:
    """Somebody at an account opens a ticket; now and then from an address that the product does not know."""
    world = day.world
    accounts = world.accounts
    rng = day.rng("tickets")
    if accounts.phase[account] == Phase.MERGED:
        return
    if person < 0:
        own = ((world.people.account == account) & (world.people.user_id != "")).nonzero()[0]
        person = int(own[int(rng.integers(len(own)))])
    edges = Edge.NONE
    if rng.random() < world.parameters.edge_cases.unknown_requester:
        edges = Edge.UNKNOWN_REQUESTER
        domain = str(accounts.domain[account])
        if rng.random() < 0.2:
            domain = names.FREE_MAIL[int(rng.integers(len(names.FREE_MAIL)))]
        person = people.create(day, rng, domain, account=account)
        world.people.edges[person] |= Edge.UNKNOWN_REQUESTER
    user = requester(day, rng, at - 30, account, person)
    if not user:
        return
    number = world.number("ticket", FIRST_TICKET)
    subjects = SUBJECTS[about]
    priority = ("high", "urgent", "normal")[int(rng.integers(3))] if about == "export" else None
    email = str(world.people.email[person])
    day.happened(
        at, "zendesk.ticket_created", key=number, subject=subjects[int(rng.integers(len(subjects)))], requester_id=user,
        organization_id=_organization_of(day, rng, account, email),
        priority=priority or ("low", "normal", "normal", "high")[int(rng.integers(4))], tags=TAGS[about],
        channel="email" if edges or rng.random() < 0.4 else "web",
    )  # fmt: skip
    reply = at + 600 + float(rng.exponential((3 if priority else 7) * HOUR))
    world.schedule(reply, "ticket_replied", number, AGENTS[int(rng.integers(len(AGENTS)))])
    world.schedule(reply + 900 + float(rng.exponential(16 * HOUR)), "ticket_solved", number, account, 0)


def ticket_replied(day: Day, at: float, number: int, agent: int) -> None:
    """The first answer."""
    day.happened(at, "zendesk.ticket_replied", key=number, agent=agent)


def ticket_solved(day: Day, at: float, number: int, account: int, reopened: int) -> None:
    """Solved; rated by some, reopened by some, closed for good four days later."""
    world = day.world
    rng = day.rng("solving")
    day.happened(at, "zendesk.ticket_solved", key=number)
    draw = rng.random()
    if draw < 0.08 and reopened < 2:
        again = at + HOUR + float(rng.exponential(10 * HOUR))
        world.schedule(again, "ticket_reopened", number)
        world.schedule(again + HOUR + float(rng.exponential(14 * HOUR)), "ticket_solved", number, account, reopened + 1)
        world.accounts.churn_pressure[account] += 0.1
        return
    if draw < 0.45:
        good = rng.random() < (0.62 if world.accounts.faulty_until[account] > day.number else 0.86)
        world.schedule(at + HOUR + float(rng.exponential(8 * HOUR)), "ticket_rated", number, account, bool(good))
    world.schedule(at + 4 * DAY, "ticket_closed", number)


def ticket_reopened(day: Day, at: float, number: int) -> None:
    """It was not solved."""
    day.happened(at, "zendesk.ticket_reopened", key=number)


def ticket_rated(day: Day, at: float, number: int, account: int, good: bool) -> None:
    """The requester says how it was; a bad experience weighs."""
    rating = day.world.number("rating", 30001)
    day.happened(at, "zendesk.ticket_rated", key=number, rating=rating, score="good" if good else "bad")
    if not good:
        day.world.accounts.churn_pressure[account] += 0.3


def ticket_closed(day: Day, at: float, number: int) -> None:
    """Nothing can be added any more."""
    day.happened(at, "zendesk.ticket_closed", key=number)

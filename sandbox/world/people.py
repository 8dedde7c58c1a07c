"""People: how they are called, by which addresses the silos know them, when they join and leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.world import names
from sandbox.world.parameters import DAY, HOUR, NEVER
from sandbox.world.state import Edge, Phase

if TYPE_CHECKING:
    import numpy as np

    from sandbox.world.day import Day


def create(day: Day, rng: np.random.Generator, domain: str, *, account: int = -1, prospect: int = -1) -> int:
    """Invent a person with an address at a domain; returns the position in `people`."""
    world = day.world
    first, last = names.person(rng)
    number = world.number("person")
    email = names.address(first, last, domain, number)
    edges = Edge.NONE
    other = ""
    if rng.random() < world.parameters.edge_cases.several_emails:
        edges |= Edge.SEVERAL_EMAILS
        if domain.endswith(".example") and rng.random() < 0.5:
            other = names.address(first[0], last, domain, number).replace("@", f"{number % 97}@")
        else:
            other = names.address(first, last, names.FREE_MAIL[int(rng.integers(len(names.FREE_MAIL)))], number)
    if not domain.endswith(".example"):
        edges |= Edge.FREE_MAIL
    return world.people.append(
        account=account, prospect=prospect, first=first, last=last, email=email, other_email=other, edges=int(edges),
        weight=float(rng.lognormal(0.0, 0.7)), mobile=bool(rng.random() < 0.35),
    )  # fmt: skip


def full_name(day: Day, person: int) -> str:
    """First and last name."""
    people = day.world.people
    return f"{people.first[person]} {people.last[person]}"


def address_elsewhere(
    day: Day, rng: np.random.Generator, person: int, tag: str, *, folded: bool = False
) -> tuple[str, Edge]:
    """The address that a silo other than the product has of a person, and the edge cases in it.

    Args:
        day: Today.
        rng: Whose randomness to use.
        person: Position in `people`.
        tag: What the person would put after a plus sign.
        folded: The silo stores addresses in lower case.
    """
    world = day.world
    frequency = world.parameters.edge_cases
    people = world.people
    email = str(people.email[person])
    edges = Edge(int(people.edges[person]))
    if people.other_email[person] and rng.random() < 0.4:
        return str(people.other_email[person]), edges
    edges &= ~Edge.SEVERAL_EMAILS
    draw = rng.random()
    if draw < frequency.plus_address:
        return names.plus_addressed(email, tag), edges | Edge.PLUS_ADDRESS
    if not folded and draw < frequency.plus_address + frequency.case_variant:
        return names.in_another_case(email), edges | Edge.CASE_VARIANT
    return email, edges


def join(day: Day, at: float, account: int, person: int, *, by: str) -> None:
    """A person becomes a user of an account: identify, group and sign-up events and a marketing profile."""
    world = day.world
    people, accounts = world.people, world.accounts
    rng = day.rng("join")
    people.user_id[person] = f"usr_{day.token('user', 6)}"
    people.account[person] = account
    people.joined_at[person] = at
    accounts.users[account] += 1
    user = str(people.user_id[person])
    edges = int(people.edges[person]) | int(accounts.edges[account])
    email = str(people.email[person])
    traits = {"email": email, "name": full_name(day, person), "role": "owner" if by == "sign_up" else "member"}
    anonymous = str(people.anonymous_id[person]) or None
    day.track(at, None, type="identify", person=person, anonymous_id=anonymous, context={"traits": traits})
    if anonymous:
        day.track(
            at + 1, None, type="alias", person=person, anonymous_id=anonymous, properties={"previousId": anonymous}
        )
    group_account(day, at + 2, person, account)
    day.track(at + 3, "signed_up", person=person, account=account, product="editor", properties={"method": by})
    world.identify("product.user", user, at, person=person, account=account, edges=edges)
    if people.other_email[person] and rng.random() < 0.75:
        world.schedule(at + float(rng.exponential(20 * DAY)), "second_address", person)
    profile_email, profile_edges = email, Edge(edges)
    if rng.random() < 0.1:
        profile_email, profile_edges = address_elsewhere(day, rng, person, "news")
    day.happened(
        at + 5, "customerio.customer_created", key=user, email=profile_email, name=full_name(day, person),
        account_id=str(accounts.account_id[account]),
    )  # fmt: skip
    world.identify("customerio.person", user, at + 5, person=person, account=account, edges=int(profile_edges))
    if by == "sign_up":
        world.schedule(at + 20 * 60, "send", 1, person)
        if rng.random() < 0.8:
            world.schedule(at + 2 * DAY, "send", 2, person)
    else:
        world.schedule(at + HOUR, "send", 1, person)


def group_account(day: Day, at: float, person: int, account: int, previous: str | None = None) -> None:
    """The product tells which account a user belongs to, and how that account is called."""
    accounts = day.world.accounts
    traits = {"name": str(accounts.name[account])}
    domain = str(accounts.domain[account])
    if domain.endswith(".example"):
        traits["domain"] = domain
    if previous:
        traits["previous_account_id"] = previous
    day.track(at, None, type="group", person=person, account=account, properties=traits)


def second_address(day: Day, at: float, person: int) -> None:
    """A user adds a second address to the profile: the product identifies the user by it."""
    people = day.world.people
    account = int(people.account[person])
    if people.user_id[person] == "" or day.world.accounts.phase[account] == Phase.MERGED:
        return
    traits = {"email": str(people.other_email[person]), "name": full_name(day, person)}
    day.track(at, None, type="identify", person=person, account=account, context={"traits": traits})


def invited(day: Day, at: float, account: int) -> None:
    """A colleague who was invited signs in for the first time."""
    world = day.world
    if world.accounts.phase[account] in (Phase.GONE, Phase.MERGED):
        return
    rng = day.rng("invited")
    person = create(day, rng, str(world.accounts.domain[account]), account=account)
    join(day, at, account, person, by="invitation")
    if world.accounts.company[account] and rng.random() < 0.6:
        world.schedule(at + HOUR, "contact", account, person)


def leave(day: Day) -> None:
    """Some users stop working at their company; their address may live on."""
    world = day.world
    people = world.people
    here = (people.joined_at < day.start) & (people.leaves_at == NEVER)
    leaving = here & (day.rng("leave").random(len(people)) < 0.0004)
    first = world.accounts.first_user
    leaving[first[first >= 0]] = False
    people.leaves_at[leaving] = day.start


def domain_changed(day: Day, at: float, account: int) -> None:
    """The company moves to another domain: old records keep the old address, new ones get the new."""
    world = day.world
    accounts, people = world.accounts, world.people
    old = str(accounts.domain[account])
    if accounts.phase[account] in (Phase.GONE, Phase.MERGED) or not old.endswith(".example"):
        return
    rng = day.rng("domain")
    stem, _, number = old.removesuffix(".example").rpartition("-")
    new = f"{stem}-group-{number}.example"
    accounts.old_domain[account] = old
    accounts.domain[account] = new
    accounts.edges[account] |= Edge.DOMAIN_CHANGE
    members = ((people.account == account) & (people.user_id != "")).nonzero()[0]
    for position, person in enumerate(members.tolist()):
        people.edges[person] |= Edge.DOMAIN_CHANGE
        people.email[person] = str(people.email[person]).replace(f"@{old}", f"@{new}")
        if rng.random() < 0.6:
            traits = {"email": str(people.email[person]), "name": full_name(day, person)}
            moment = at + 60 * position
            day.track(moment, None, type="identify", person=person, account=account, context={"traits": traits})
            day.happened(
                moment, "customerio.customer_changed", key=str(people.user_id[person]),
                changes={"email": str(people.email[person])},
            )  # fmt: skip
    if members.size:
        group_account(day, at + 3600, int(members[0]), account)
    if accounts.organization[account] and rng.random() < 0.7:
        domains = [old, new]
        day.happened(
            at + 7200, "zendesk.organization_changed", key=int(accounts.organization[account]),
            changes={"domain_names": domains},
        )  # fmt: skip


def companies_merge(day: Day, at: float, account: int) -> None:
    """A customer buys another: its users move over, its subscription ends, its records point to the buyer."""
    world = day.world
    accounts, people = world.accounts, world.people
    if accounts.phase[account] not in (Phase.ACTIVE, Phase.TRIALING, Phase.EVALUATING):
        return
    rng = day.rng("merger")
    buyers = (accounts.phase == Phase.ACTIVE) & (accounts.organization > 0) & (accounts.users >= 2)
    buyers &= accounts.merged_into < 0
    buyers[account] = False
    candidates = buyers.nonzero()[0]
    if not candidates.size:
        return
    buyer = int(candidates[int(rng.integers(len(candidates)))])
    previous = str(accounts.account_id[account])
    for both in (account, buyer):
        accounts.edges[both] |= Edge.COMPANY_MERGER
    accounts.merged_into[account] = buyer
    members = (people.account == account).nonzero()[0].tolist()
    for position, person in enumerate(members):
        people.account[person] = buyer
        people.edges[person] |= Edge.COMPANY_MERGER
        if people.user_id[person]:
            accounts.users[buyer] += 1
            group_account(day, at + 30 * position, person, buyer, previous)
        if people.zendesk_user[person]:
            day.happened(
                at + 30 * position, "zendesk.user_changed", key=int(people.zendesk_user[person]),
                changes={"organization_id": int(accounts.organization[buyer])},
            )  # fmt: skip
    domains = [str(accounts.domain[both]) for both in (buyer, account) if accounts.domain[both].endswith(".example")]
    day.happened(
        at + 3600, "zendesk.organization_changed", key=int(accounts.organization[buyer]),
        changes={"domain_names": domains},
    )  # fmt: skip
    if accounts.company[account]:
        day.happened(
            at + 7200, "bitrix24.changed", entity="companies", key=int(accounts.company[account]),
            changes={"ufCrmAccountId": str(accounts.account_id[buyer])},
        )  # fmt: skip
    world.schedule(at + 60, "merged_billing", account)

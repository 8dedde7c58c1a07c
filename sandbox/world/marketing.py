"""Messages: campaigns that behaviour starts, the monthly news, and what the recipients do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.world.catalog import CAMPAIGNS
from sandbox.world.dates import utc
from sandbox.world.parameters import HOUR, NEVER
from sandbox.world.state import Phase

if TYPE_CHECKING:
    from sandbox.world.day import Day

NEWS, MISSED = 4, 6
NEWS_DAY = 12
"""Day of the month on which the product news goes out."""


def send_campaigns(day: Day) -> None:
    """The product news once a month, and a word to accounts that have been quiet for two weeks."""
    world = day.world
    accounts = world.accounts
    rng = day.rng("campaigns")
    reachable = (accounts.first_user >= 0) & (accounts.phase != Phase.MERGED)
    if utc(day.start).day == NEWS_DAY:
        customers = reachable & (accounts.phase != Phase.GONE) | (reachable & (rng.random(len(accounts)) < 0.4))
        for account in customers.nonzero()[0].tolist():
            at = day.start + 9 * HOUR + float(rng.uniform(0, HOUR))
            world.schedule(at, "send", NEWS, int(accounts.first_user[account]))
    quiet_for = accounts.dormant_until - day.number
    quiet = reachable & (accounts.phase == Phase.ACTIVE) & (quiet_for == 12)
    for account in quiet.nonzero()[0].tolist():
        world.schedule(day.start + 10 * HOUR, "send", MISSED, int(accounts.first_user[account]))


def send(day: Day, at: float, campaign: int, person: int) -> None:
    """Send one message; it is delivered, opened, clicked, or the end of the relation."""
    world = day.world
    people = world.people
    if people.user_id[person] == "" or people.unsubscribed_at[person] < at or people.leaves_at[person] < at:
        return
    rng = day.rng("messages")
    message = f"msg_{day.token('message', 9)}"
    bounced = rng.random() < 0.012
    day.happened(
        at, "customerio.message_sent", key=message, campaign=CAMPAIGNS[campaign - 1].id,
        subject=CAMPAIGNS[campaign - 1].subject, user_id=str(people.user_id[person]), email=str(people.email[person]),
        bounced=bool(bounced),
    )  # fmt: skip
    if bounced:
        return
    draw = rng.random()
    opens = 0.46 if campaign != NEWS else 0.27
    if draw < opens:
        opened = at + 120 + float(rng.exponential(7 * HOUR))
        world.schedule(opened, "message_opened", message, "opened")
        if draw < opens * 0.24:
            clicked = opened + 5 + float(rng.exponential(90))
            world.schedule(clicked, "message_opened", message, "clicked")
            if campaign == MISSED:
                account = int(people.account[person])
                world.accounts.nudged_until[account] = day.number + 4
        if draw < 0.007:
            world.schedule(opened + 40, "unsubscribed", message, person)


def message_opened(day: Day, at: float, message: str, what: str) -> None:
    """The recipient opened the message or clicked in it."""
    day.happened(at, "customerio.message_changed", key=message, metric=what)


def unsubscribed(day: Day, at: float, message: str, person: int) -> None:
    """The recipient does not want to hear from us any more."""
    people = day.world.people
    if people.unsubscribed_at[person] != NEVER:
        return
    people.unsubscribed_at[person] = at
    day.happened(at, "customerio.message_changed", key=message, metric="unsubscribed")
    day.happened(at, "customerio.customer_changed", key=str(people.user_id[person]), changes={"unsubscribed": True})

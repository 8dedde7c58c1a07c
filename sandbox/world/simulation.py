"""One step of the world: a whole day, from the state at its start to the state at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox import manual_reports
from sandbox.world import acquisition, billing, changes, deliveries, marketing, people, sales, support, truth, usage
from sandbox.world.day import Day

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.store import Delivery
    from sandbox.world.state import World

ON_THE_AGENDA: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        acquisition.sign_up,
        billing.purchase, billing.renewal, billing.finalized, billing.voided, billing.retry, billing.paid,
        billing.refund, billing.trial_will_end, billing.trial_decision, billing.discount_ended,
        billing.duplicate_customer, billing.merged_billing, billing.renewal_upcoming,
        changes.upgrade, changes.more_seats, changes.downgrade, changes.fewer_seats, changes.pause,
        changes.pause_begins, changes.pause_ends, changes.go_yearly, changes.cancel, changes.stay_after_all,
        changes.come_back,
        manual_reports.booked, manual_reports.filed_later,
        marketing.send, marketing.message_opened, marketing.unsubscribed,
        people.invited, people.second_address, people.domain_changed, people.companies_merge,
        sales.lead, sales.lead_status, sales.convert, sales.contact, sales.qualified, sales.deal_stage,
        sales.deal_given_up, sales.won, sales.success_stage, sales.lost,
        support.organization, support.complain, support.ticket_replied, support.ticket_solved,
        support.ticket_reopened, support.ticket_rated, support.ticket_closed,
        usage.exports_fail, usage.integrate, usage.integration_done, usage.integrate_again, usage.invite,
        usage.usage_limit, usage.look_at_prices, usage.finish_integration,
    )
}  # fmt: skip


def simulate_day(world: World, delivered: Sequence[Delivery] = ()) -> Day:
    """Live through `world.day`; afterwards the world stands at the start of the next day.

    Args:
        world: The state at the start of the day; changed in place.
        delivered: What reached the vendors during the day before; it takes effect now.
    """
    day = Day(world)
    deliveries.apply(day, delivered)
    people.leave(day)
    usage.drift(day)
    acquisition.arrive(day)
    usage.work(day)
    changes.decide(day)
    support.write_in(day)
    marketing.send_campaigns(day)
    for at, what, details in day.due():
        ON_THE_AGENDA[what](day, at, *details)
    world.note()
    truth.note_month(day)
    world.day += 1
    return day

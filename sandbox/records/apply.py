"""Which fact changes which vendor's records, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.records import bitrix24, customerio, stripe, stripe_invoices, zendesk

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.records.desk import Desk

HANDLERS: dict[str, Callable[..., Any]] = {
    f"{module.__name__.rpartition('.')[2].partition('_')[0]}.{name}": getattr(module, name)
    for module, names in (
        (stripe, ("customer_created", "customer_changed", "subscription", "refunded")),
        (stripe_invoices, ("invoice_created", "invoice_finalized", "invoice_paid", "payment_failed", "invoice_voided",
                           "invoice_uncollectible")),
        (zendesk, ("organization_created", "organization_changed", "user_created", "user_changed", "ticket_created",
                   "ticket_replied", "ticket_solved", "ticket_reopened", "ticket_closed", "ticket_rated")),
        (bitrix24, ("lead_created", "company_created", "contact_created", "deal_created", "changed", "deal_closed")),
        (customerio, ("customer_created", "customer_changed", "message_sent", "message_changed")),
    )
    for name in names
}  # fmt: skip


def open_accounts(desk: Desk) -> None:
    """What every vendor's account holds before the first customer comes."""
    for vendor in (stripe, bitrix24, customerio):
        vendor.open_account(desk)

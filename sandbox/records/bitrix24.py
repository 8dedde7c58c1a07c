"""Bitrix24 items as crm.item.list shows them with all fields, and the portal's dictionaries.

The portal's times carry its zone, three hours ahead of UTC. `fm` holds the addresses of leads, contacts and companies.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from sandbox.world.names import INDUSTRIES
from sandbox.world.parameters import DAY, FOUNDED_AT

if TYPE_CHECKING:
    from sandbox.records.desk import Body, Desk

PORTAL_ZONE = timezone(timedelta(hours=3))
SEMANTICS = {"WON": "S", "C1:WON": "S", "CONVERTED": "S", "LOSE": "F", "C1:LOSE": "F", "JUNK": "F", "APOLOGY": "F"}

_STAGES = (
    ("DEAL_STAGE", 0, (("NEW", "New"), ("PREPARATION", "Documents in preparation"),
                       ("PREPAYMENT_INVOICE", "Prepayment invoice"), ("EXECUTING", "In progress"),
                       ("FINAL_INVOICE", "Final invoice"), ("WON", "Won"), ("LOSE", "Lost"), ("APOLOGY", "Analysis"))),
    ("DEAL_STAGE_1", 1, (("C1:NEW", "Handed over"), ("C1:PREPARATION", "Onboarding"), ("C1:ADOPTED", "Adopted"),
                         ("C1:EXECUTING", "Expanding"), ("C1:AT_RISK", "At risk"), ("C1:WON", "Referenceable"),
                         ("C1:LOSE", "Churned"))),
    ("STATUS", None, (("NEW", "New"), ("IN_PROCESS", "In process"), ("PROCESSED", "Processed"),
                      ("CONVERTED", "Converted"), ("JUNK", "Junk"))),
    ("SOURCE", None, (("CALL", "Call"), ("EMAIL", "E-mail"), ("WEB", "Website"), ("ADVERTISING", "Advertising"),
                      ("PARTNER", "API partner"), ("RECOMMENDATION", "Recommendation"), ("TRADE_SHOW", "Event"),
                      ("WEBFORM", "Web form"), ("OTHER", "Other"))),
    ("INDUSTRY", None, tuple((code, code.capitalize()) for code in INDUSTRIES)),
    ("EMPLOYEES", None, (("EMPLOYEES_1", "less than 50"), ("EMPLOYEES_2", "50 to 250"), ("EMPLOYEES_3", "250 to 500"))),
)  # fmt: skip
_OWNERS = ("Alma Reyes", "Ben Ode", "Chloe Marsh", "Dag Nyberg", "Ewa Lis", "Fay Tran", "Gus Moran", "Hedda Lund")


def portal_time(at: float) -> str:
    """An instant as the portal writes it, to the second."""
    return datetime.fromtimestamp(int(at), UTC).astimezone(PORTAL_ZONE).isoformat()


def open_account(desk: Desk) -> None:
    """Pipelines, dictionaries and the people who own records."""
    at = FOUNDED_AT + 60
    number = 100
    for entity, category, entries in _STAGES:
        for position, (status, name) in enumerate(entries, start=1):
            number += 1
            semantics = SEMANTICS.get(status) if entity != "SOURCE" else None
            meaning = {"S": "success", "F": "failure"}.get(semantics or "", "process")
            body: Body = {
                "ID": str(number), "ENTITY_ID": entity, "STATUS_ID": status, "NAME": name, "NAME_INIT": name,
                "SORT": str(10 * position), "SYSTEM": "Y" if status in ("NEW", "WON", "LOSE") else "N",
                "CATEGORY_ID": None if category in (None, 0) else str(category), "COLOR": "#39A8EF",
                "SEMANTICS": semantics, "EXTRA": {"SEMANTICS": meaning, "COLOR": "#39A8EF"},
            }  # fmt: skip
            desk.create("bitrix24.statuses", number, at, body, parent=entity)
    for category, name, default in ((0, "New business", "Y"), (1, "Customer success", "N")):
        pipeline: Body = {
            "id": category, "name": name, "sort": 100 * (category + 1), "entityTypeId": 2, "isDefault": default,
            "originId": "", "originatorId": "",
        }  # fmt: skip
        desk.create("bitrix24.categories", category, at, pipeline)
    for owner, name in enumerate(_OWNERS, start=1):
        first, _, last = name.partition(" ")
        employee: Body = {
            "ID": str(owner), "ACTIVE": True, "NAME": first, "LAST_NAME": last, "SECOND_NAME": "",
            "EMAIL": f"{first.lower()}@sandbox.example", "DATE_REGISTER": portal_time(at), "WORK_POSITION": "Sales",
            "UF_DEPARTMENT": [1], "USER_TYPE": "employee",
        }  # fmt: skip
        desk.create("bitrix24.users", owner, at, employee)


def _multifields(entity: str, record: int, emails: list[str], web: str | None = None) -> list[Body]:
    found = []
    for position, (kind, value) in enumerate([*(("EMAIL", email) for email in emails), ("WEB", web)]):
        if value:
            found.append(
                {"id": 10 * record + position, "entityId": entity, "elementId": record, "typeId": kind,
                 "valueType": "WORK", "value": value, "complexId": f"{kind}_WORK"}
            )  # fmt: skip
    return found


def _common(at: float, fact: dict[str, Any]) -> Body:
    when = portal_time(at)
    return {
        "id": fact["key"], "createdTime": when, "updatedTime": when, "createdBy": 1, "updatedBy": 1,
        "assignedById": fact["owner"], "opened": "Y", "originId": None, "originatorId": None,
        "sourceId": fact.get("source_id"), "sourceDescription": None, "utmSource": fact.get("utm_source"),
        "utmMedium": fact.get("utm_medium"), "utmCampaign": fact.get("utm_campaign"), "utmContent": None,
        "utmTerm": None, "ufCrmAccountId": fact.get("account_id"),
    }  # fmt: skip


def lead_created(desk: Desk, at: float, **fact: Any) -> None:
    """Somebody who showed interest."""
    body = _common(at, fact) | {
        "title": f"{fact['company_title']}: enquiry", "name": fact["name"], "lastName": fact["last_name"],
        "companyTitle": fact["company_title"], "stageId": "NEW", "stageSemanticId": "P", "companyId": 0,
        "contactId": 0, "opportunity": 0.0, "currencyId": "USD", "isManualOpportunity": "N", "entityTypeId": 1,
        "fm": _multifields("LEAD", fact["key"], [fact["email"]]),
    }  # fmt: skip
    desk.create("bitrix24.leads", fact["key"], at, body)


def company_created(desk: Desk, at: float, **fact: Any) -> None:
    """A company that sales works with."""
    size = "EMPLOYEES_1" if fact["seats"] < 8 else "EMPLOYEES_2" if fact["seats"] < 25 else "EMPLOYEES_3"
    body = _common(at, fact) | {
        "title": fact["title"], "industry": INDUSTRIES[fact["key"] % len(INDUSTRIES)], "employees": size,
        "leadId": fact["lead"], "entityTypeId": 4, "currencyId": "USD", "revenue": 0.0,
        "fm": _multifields("COMPANY", fact["key"], [fact["email"]] if fact["email"] else [], fact["web"]),
    }  # fmt: skip
    desk.create("bitrix24.companies", fact["key"], at, body)


def contact_created(desk: Desk, at: float, **fact: Any) -> None:
    """A person at a company."""
    body = _common(at, fact) | {
        "name": fact["name"], "lastName": fact["last_name"], "secondName": None, "post": fact["post"],
        "companyId": fact["company"], "companyIds": [fact["company"]], "leadId": fact["lead"] or None,
        "typeId": "CLIENT", "entityTypeId": 3, "fm": _multifields("CONTACT", fact["key"], fact["emails"]),
    }  # fmt: skip
    desk.create("bitrix24.contacts", fact["key"], at, body)


def deal_created(desk: Desk, at: float, **fact: Any) -> None:
    """Something to win, or a customer to look after."""
    body = _common(at, fact) | {
        "title": fact["title"], "stageId": fact["stage"], "stageSemanticId": "P", "categoryId": fact["category"],
        "closed": "N", "companyId": fact["company"], "contactId": fact["contact"], "contactIds": [fact["contact"]],
        "leadId": fact["lead"] or None, "opportunity": float(fact["amount"]), "currencyId": fact["currency"].upper(),
        "isManualOpportunity": "Y", "begindate": portal_time(at), "closedate": portal_time(at + 60 * DAY),
        "movedTime": portal_time(at), "movedBy": fact["owner"], "typeId": "SALE", "probability": None,
        "entityTypeId": 2, "ufCrmLifecycleState": None, "ufCrmLifecycleAction": None,
    }  # fmt: skip
    desk.create("bitrix24.deals", fact["key"], at, body)


def changed(desk: Desk, at: float, *, entity: str, key: int, changes: Body) -> None:
    """Fields of an item were set; what others set in the meantime stays."""
    when = portal_time(at)
    new = {**changes, "updatedTime": when}
    if "stageId" in changes:
        new["stageSemanticId"] = SEMANTICS.get(changes["stageId"], "P")
        if entity == "deals":
            if desk.find("bitrix24.deals", key)["stageId"] in ("C1:ADOPTED", *SEMANTICS):
                return
            new |= {"movedTime": when}
    desk.change(f"bitrix24.{entity}", key, at, new)


def deal_closed(desk: Desk, at: float, *, key: int, stage: str) -> None:
    """Won or lost."""
    when = portal_time(at)
    new = {
        "stageId": stage, "stageSemanticId": SEMANTICS[stage], "closed": "Y", "closedate": when, "movedTime": when,
        "updatedTime": when,
    }  # fmt: skip
    desk.change("bitrix24.deals", key, at, new)

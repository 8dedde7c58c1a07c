"""A Bitrix24 portal's CRM items: their fields and how those are named, what a write does, how items are found.

Nothing here knows of requests; a value or a filter that means nothing is a `BitrixError`, in the portal's own words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from sandbox.accounts.shared import json_field

if TYPE_CHECKING:
    from sandbox.accounts.shared import World

PORTAL_ZONE = timezone(timedelta(hours=3))
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
OPERATORS = ("!=", "!@", ">=", "<=", "!%", ">", "<", "=", "@", "%", "!")

COMMON_FIELDS = frozenset(
    {"title", "assignedById", "opened", "sourceId", "sourceDescription", "comments", "originId", "originatorId"}
    | {"utmSource", "utmMedium", "utmCampaign", "utmContent", "utmTerm", "observers", "webformId"}
    | {"ufCrmAccountId", "ufCrmLifecycleState", "ufCrmLifecycleAction", "fm"}
)
MONEY_FIELDS = frozenset({"opportunity", "currencyId", "isManualOpportunity", "stageId", "companyId", "contactId"})
PERSON_FIELDS = frozenset({"name", "lastName", "secondName", "honorific", "birthdate", "post"})


@dataclass(frozen=True, slots=True)
class ItemType:
    """A kind of CRM item: where it is kept, which fields can be written, which dictionary holds its stages."""

    name: str
    writable: frozenset[str]
    stage_entity: str | None = None

    @property
    def collection(self) -> str:
        """The store's name for it."""
        return f"bitrix24.{self.name}"


ITEM_TYPES = {
    1: ItemType(
        "leads", COMMON_FIELDS | MONEY_FIELDS | PERSON_FIELDS | {"companyTitle", "statusDescription"}, "STATUS"
    ),
    2: ItemType(
        "deals",
        COMMON_FIELDS
        | MONEY_FIELDS
        | {"typeId", "categoryId", "probability", "begindate", "closedate", "leadId", "contactIds", "additionalInfo"},
        "DEAL_STAGE",
    ),
    3: ItemType("contacts", COMMON_FIELDS | PERSON_FIELDS | {"typeId", "companyId", "companyIds", "leadId", "export"}),
    4: ItemType(
        "companies",
        COMMON_FIELDS
        | {"typeId", "industry", "employees", "revenue", "currencyId", "isMyCompany", "leadId", "contactIds"},
    ),
}


class BitrixError(Exception):
    """An answer in Bitrix24's error shape."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": code, "error_description": description}


# Writing items


class Items:
    """The portal's items, as writes change them."""

    def __init__(self, world: World) -> None:
        self.world = world

    def written(self, fields: dict[str, Any], kind: ItemType) -> dict[str, Any]:
        """The fields of a write that exist; all others are ignored without a word, as the portal does.

        Raises:
            BitrixError: if a stage does not exist, or a number is none.
        """
        known = {name: value for key, value in fields.items() if (name := camel_name(str(key))) in kind.writable}
        stage = known.get("stageId")
        if stage is not None and kind.stage_entity and self.stage_semantics(kind, str(stage)) is None:
            raise BitrixError(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", 'Invalid value of field "Stage" (STAGE_ID)')
        for name in ("opportunity", "probability"):
            if name in known:
                known[name] = number_of(known[name], name)
        for name in ("assignedById", "companyId", "contactId", "leadId", "categoryId"):
            if name in known and known[name] not in (None, ""):
                known[name] = integer_of(known[name], name)
        return known

    def stage_semantics(self, kind: ItemType, stage: str) -> str | None:
        """What a stage means: P in progress, S won, F lost; None when the type has no such stage."""
        rows = self.world.rows.select(
            "bitrix24.statuses",
            # every pipeline beside the first has a dictionary of its own: DEAL_STAGE_1, DEAL_STAGE_2 ...
            f"{json_field('STATUS_ID')} = ? and ({json_field('ENTITY_ID')} = ? or {json_field('ENTITY_ID')} glob ?)",
            (stage, kind.stage_entity, f"{kind.stage_entity}_*"),
            order="id_number",
            limit=1,
        )
        if not rows:
            return None
        return str(rows[0].parsed().get("SEMANTICS") or "P")

    def change(self, item: dict[str, Any], changed: dict[str, Any], kind: ItemType) -> None:
        """Write values and what follows from them: who touched it when, and what a stage means."""
        now = portal_time(self.world.now())
        item.update(changed)
        item["updatedTime"] = now
        item["updatedBy"] = int(self.world.credentials.bitrix24_user)
        if "stageId" in changed:
            semantics = self.stage_semantics(kind, str(changed["stageId"])) or "P"
            item["movedTime"] = now
            item["movedBy"] = int(self.world.credentials.bitrix24_user)
            item["stageSemanticId"] = semantics
            if "closed" in item:
                item["closed"] = "Y" if semantics in ("S", "F") else "N"
            if "closedate" in item and semantics in ("S", "F"):
                item["closedate"] = now


# Finding items


def filter_condition(wanted: dict[str, Any], values: list[Any]) -> str:
    """SQL for a filter object; conditions are joined by AND unless `logic` says OR."""
    parts: list[str] = []
    for key, value in wanted.items():
        if str(key).lower() == "logic":
            continue
        if isinstance(value, dict) and (str(key).isdecimal() or "logic" in {str(name).lower() for name in value}):
            parts.append(f"({filter_condition(value, values)})")
            continue
        parts.append(comparison(str(key), value, values))
    glue = " or " if str(wanted.get("logic", "AND")).upper() == "OR" else " and "
    return glue.join(parts) if parts else "1"


def comparison(key: str, value: Any, values: list[Any]) -> str:
    """SQL for one entry of a filter, such as `>=updatedTime`."""
    operator = next((sign for sign in OPERATORS if key.startswith(sign)), "")
    name = key[len(operator) :]
    if not NAME.fullmatch(name):
        raise BitrixError(400, "INVALID_ARG_VALUE", f"Invalid filter: field '{name}' is not allowed in filter")
    column = sql_column(name)
    options = list(value.values()) if isinstance(value, dict) else value
    if isinstance(options, list) or operator in ("@", "!@"):
        options = options if isinstance(options, list) else [options]
        values.extend(comparable(name, item) for item in options)
        negation = "not " if operator.startswith("!") else ""
        return f"{column} {negation}in ({','.join('?' * len(options))})"
    if operator in ("%", "!%"):
        values.append(f"%{value}%")
        return f"coalesce({column}, '') {'not ' if operator == '!%' else ''}like ?"
    if value is None or value == "":
        return f"coalesce({column}, '') {'<>' if operator.startswith('!') else '='} ''"
    values.append(comparable(name, value))
    sign = {"": "=", "=": "=", "!": "is not", "!=": "is not"}.get(operator, operator)
    return f"{column} {sign} ?"


def order_by(order: Any) -> str:
    """SQL for an order object, made total by the id."""
    parts = []
    for name, direction in object_of(order).items():
        if not NAME.fullmatch(str(name)):
            raise BitrixError(400, "INVALID_ARG_VALUE", f"Invalid order: field '{name}' is not allowed in order")
        parts.append(f"{sql_column(str(name))}{' desc' if str(direction).upper() == 'DESC' else ''}")
    if not any(part.split()[0] == "id_number" for part in parts):
        parts.append("id_number")
    return ", ".join(parts)


# Values and names


def integer_of(value: Any, name: str) -> int:
    """A whole number of 64 bits, given as such or as text."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not -(2**63) <= number < 2**63:
        raise BitrixError(400, "INVALID_ARG_VALUE", f"Argument '{name}' must be an integer")
    return number


def number_of(value: Any, name: str) -> float:
    """A number, given as such or as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BitrixError(400, "INVALID_ARG_VALUE", f"Argument '{name}' must be a number") from None


def object_of(value: Any) -> dict[str, Any]:
    """A parameter that only means something as an object; a list counts as one with numbers for keys."""
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """A parameter that may come as one value, a list, or an object with numbers for keys."""
    if value is None:
        return []
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def same(stored: Any, written: Any) -> bool:
    """Whether a written value is the stored one; forms send numbers as text, and empty text is null."""
    if stored in (None, "") and written in (None, ""):
        return True
    if isinstance(stored, int | float) and not isinstance(stored, bool):
        try:
            return float(stored) == float(written)
        except (TypeError, ValueError):
            return False
    return bool(stored == written)


def sql_column(name: str) -> str:
    """Where a field stands: a column of its own or inside the body."""
    known = {"id": "id_number", "createdTime": "created_at", "updatedTime": "updated_at"}
    return known.get(name) or json_field(camel_name(name))


def comparable(name: str, value: Any) -> Any:
    """A filter's value as the column holds it: unix seconds for change times, numbers as numbers, else text."""
    if name in ("createdTime", "updatedTime"):
        return moment(str(value)).timestamp()
    if name.endswith(("Time", "date")):
        return moment(str(value)).astimezone(PORTAL_ZONE).isoformat(timespec="seconds")
    if name == "id" or name.endswith("Id"):
        text = str(value)
        return int(text) if text.lstrip("-").isdecimal() else text
    if name in ("opportunity", "probability"):
        return number_of(value, name)
    return value


def moment(value: str) -> datetime:
    """A time in a filter; without an offset it is the portal's."""
    try:
        parsed = datetime.fromisoformat(value.replace(" ", "+") if re.search(r"T.* \d\d:\d\d$", value) else value)
    except ValueError:
        raise BitrixError(400, "INVALID_ARG_VALUE", f"'{value}' is not a valid date") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=PORTAL_ZONE)


def portal_time(instant: float) -> str:
    """Unix seconds as the portal writes times."""
    return datetime.fromtimestamp(instant, UTC).astimezone(PORTAL_ZONE).isoformat(timespec="seconds")


def camel_name(name: str) -> str:
    """UF_CRM_LIFECYCLE_STATE and STAGE_ID as ufCrmLifecycleState and stageId; camel case stays as it is."""
    if not name.isupper():
        return name
    head, *rest = name.lower().split("_")
    return head + "".join(part.capitalize() for part in rest)


def upper_name(name: str) -> str:
    """The original name of a field: UF_CRM_LIFECYCLE_STATE of ufCrmLifecycleState."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def picked(item: dict[str, Any], select: list[Any]) -> dict[str, Any]:
    """The selected fields and the id. `fm` comes with `*` only, whoever names it."""
    if "*" in select:
        return item
    names = {camel_name(str(name)) for name in select} - {"fm"}
    return {name: value for name, value in item.items() if name == "id" or name in names}


def named(item: dict[str, Any], *, original: bool) -> dict[str, Any]:
    """An item whose custom fields carry the asked-for kind of name."""
    if not original:
        return item
    return {upper_name(name) if name.startswith("ufCrm") else name: value for name, value in item.items()}

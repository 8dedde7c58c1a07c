"""A vendor's value to the value of a column: converted where nothing is lost, refused with the end of a sentence."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

BIGINT_LIMIT = 2**63


class WrongTypeError(ValueError):
    """A value is not of the type its column has; the text completes the sentence "<column> ..."."""


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return f"{value!r:.60}"


def _to_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested beyond 254 levels, whole numbers beyond 64 bits, or what is no Unicode
        pass
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except RecursionError:
        raise WrongTypeError("is nested too deeply") from None
    except UnicodeEncodeError:
        raise WrongTypeError("holds a text that is not valid Unicode") from None
    return text


def _to_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise WrongTypeError(f"is {_shown(value)}, not a text")


def _to_bigint(value: Any) -> int | None:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str):
        if not value:
            return None
        if re.fullmatch(r"[+-]?\d{1,19}", value.strip()):
            number = int(value)
    if number is None or not -BIGINT_LIMIT <= number < BIGINT_LIMIT:
        raise WrongTypeError(f"is {_shown(value)}, not a whole number of 64 bits")
    return number


def _to_double(value: Any) -> float | None:
    number: float | None = None
    if value == "":
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = None
    if number is None or not math.isfinite(number):
        raise WrongTypeError(f"is {_shown(value)}, not a number")
    return number


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise WrongTypeError(f"is {_shown(value)}, neither true nor false")


def _to_timestamp(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.datetime):
        moment = value
    elif isinstance(value, str):
        if not value:
            return None
        try:
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            raise WrongTypeError(f"is {_shown(value)}, not an ISO 8601 time") from None
    else:
        raise WrongTypeError(f"is {_shown(value)}, not an ISO 8601 time")
    if moment.tzinfo is None:
        raise WrongTypeError(f"is {_shown(value)}, a time without its offset from UTC")
    try:
        return moment.astimezone(dt.UTC).replace(tzinfo=None)
    except OverflowError:
        raise WrongTypeError(f"is {_shown(value)}, outside the years 1 to 9999") from None


def _to_date(value: Any) -> dt.date | None:
    if isinstance(value, str):
        if not value:
            return None
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    raise WrongTypeError(f"is {_shown(value)}, not a date of the form YYYY-MM-DD")


CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "text": _to_text,
    "bigint": _to_bigint,
    "double": _to_double,
    "bool": _to_bool,
    "timestamp": _to_timestamp,
    "date": _to_date,
    "json": _to_json,
}


def to_added_text(value: Any) -> str:
    """A field the contract does not know: text as it is, everything else as JSON text, so its type can never drift."""
    return value if isinstance(value, str) else _to_json(value)


def column_name(field_name: str) -> str:
    """The column of a vendor's field: `ufCrmAccountId` becomes `uf_crm_account_id`.

    A name without a Latin letter or digit in it becomes one of its own that stays the same.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", field_name)
    name = re.sub(r"_+", "_", re.sub(r"[^0-9A-Za-z]+", "_", words)).strip("_").lower()
    if name:
        return name
    spelt = field_name.encode("utf-8", "backslashreplace")
    return f"field_{hashlib.md5(spelt, usedforsecurity=False).hexdigest()[:8]}"

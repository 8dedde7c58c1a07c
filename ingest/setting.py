"""One setting: how it is given, what it must look like, and the sentence for who gave it wrongly.

A value that cannot be meant is refused and never read in some way: an empty text that switches a bound off, a list
where one value belongs, a line break within a key. Values that are secret never appear in a sentence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ingest import given
from ingest.errors import ConfigurationError

LONGEST_SHOWN = 60
LONGEST = 20_000  # characters; a key has a few hundred, a list of customers thousands


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting by its dotted name, whether it is secret, and what it must look like."""

    name: str
    is_secret: bool = False
    check: Callable[[str], str] | None = None  # returns what is wrong with a value, or nothing
    default: str | None = None  # what holds where it is not given
    may_be_empty: bool = False  # an empty one is as if it was not given, for who overrules a file

    @property
    def key(self) -> str:
        """Its name within its section."""
        return self.name.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable that gives it."""
        return self.name.upper().replace(".", "__")

    @property
    def how(self) -> str:
        """How to give it, as the end of a sentence."""
        section, _, key = self.name.rpartition(".")
        return f"put {key} under [{section}] in .dlt/{given.file_of(is_secret=self.is_secret)} or set {self.variable}"

    def read(self) -> str:
        """Its value.

        Raises:
            ConfigurationError: if it is missing or wrong.
        """
        value = self.find()
        if value is None:
            raise ConfigurationError(f"The setting {self.name} is missing: {self.how}.")
        return value

    def find(self) -> str | None:
        """Its value, its default if it is not given, or None if it has none.

        Raises:
            ConfigurationError: if it is wrong.
        """
        try:
            value = given.find(self.name, is_secret=self.is_secret)
        except ConfigurationError as error:
            raise ConfigurationError(f"The setting {self.name} cannot be read: {error}") from None
        if value is None or (self.may_be_empty and value == ""):
            return self.default
        problem = _misgiven(value, is_text=self.check in {None, key}) or (self.check(str(value)) if self.check else "")
        if problem:
            raise ConfigurationError(f"The setting {self.name}{self._shown(value)} {problem}: {self.how}.")
        return str(value)

    def _shown(self, value: Any) -> str:
        text = " ".join(str(value).split())
        if self.is_secret or not text:
            return ""
        return f" '{text}'" if len(text) <= LONGEST_SHOWN else f" '{text[:LONGEST_SHOWN]}…'"


def _misgiven(value: Any, *, is_text: bool) -> str:
    """What is wrong with a value whatever it is for. The environment has texts only, TOML lists and tables too."""
    if not isinstance(value, str | int | float):
        return "is not one value, but a list, a table or a date"
    if is_text and not isinstance(value, str):
        return "is not text; texts stand in quotes"
    text = str(value)
    if not text.strip():
        return "is empty; leave it out or give it a value"
    if len(text) > LONGEST:
        return f"is longer than {LONGEST:,} characters"
    return "" if text.isprintable() else "has a line break or another character that cannot be seen"


def address(value: str) -> str:
    """Whether it is an address that can be called without showing a key on the way."""
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in {"http", "https"} and (parts.port or 0) >= 0 and " " not in parts.netloc
        is_one = is_one and bool((parts.hostname or "").encode("idna"))
    except ValueError:  # an unclosed bracket, a port that is none, a name that none can have
        is_one = False
    if not is_one:
        return "is not an http(s) address"
    is_safe = parts.scheme == "https" or _is_this_machine(parts.hostname or "")
    return "" if is_safe else "is plain http to another machine, which would show the key on the way; use https"


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def one_of(*choices: str) -> Callable[[str], str]:
    """Whether it is one of these words."""
    return lambda value: "" if value in choices else f"is not one of {', '.join(choices)}"


def number(lowest: float, highest: float) -> Callable[[str], str]:
    """Whether it is a number within these bounds."""

    def check(value: str) -> str:
        try:
            fits = value.isascii() and "_" not in value and lowest <= float(value) <= highest
        except ValueError:
            fits = False
        return "" if fits else f"is not a number from {lowest:g} to {highest:g}"

    return check


def whole(lowest: int, highest: int) -> Callable[[str], str]:
    """Whether it is a whole number within these bounds."""

    def check(value: str) -> str:
        fits = value.isascii() and value.isdecimal() and len(value) < 20 and lowest <= int(value) <= highest
        return "" if fits else f"is not a whole number from {lowest:,} to {highest:,}"

    return check


def truth(value: str) -> str:
    """Whether it is true or false."""
    return "" if value.lower() in {"true", "false"} else "is neither true nor false"


def key(value: str) -> str:
    """Whether it can be a key or a token, which goes out in the head of a request."""
    return "" if value.isascii() and " " not in value else "has a space or a letter beyond ASCII, as no key has"


def mailbox(value: str) -> str:
    """Whether it can be somebody's e-mail address."""
    name, _, domain = value.rpartition("@")
    return "" if name and domain and " " not in value else "is no e-mail address"

"""What dlt is made to remember is what it would find out."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import typing_extensions
from dlt.common import validation
from dlt.common.configuration import resolve
from dlt.common.configuration.providers import environ
from dlt.common.configuration.specs import base_configuration
from dlt.common.schema.typing import TColumnSchema, TStoredSchema, TTableSchema
from dlt.common.typing import TSecretStrValue
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from ingest import once

SECRETS = {
    TSecretStrValue: True,
    DuckDbCredentials: True,
    TSecretStrValue | None: True,
    str: False,
    str | None: False,
    dict[str, Any]: False,
}


@pytest.mark.parametrize("module", [environ, resolve])
def test_secrets_are_told_from_other_settings(module: Any) -> None:
    once.remember()
    assert module.is_secret_hint is not base_configuration.is_secret_hint
    for _ in range(2):
        assert {hint: module.is_secret_hint(hint) for hint in SECRETS} == SECRETS
    assert module.is_secret_hint(Annotated[str, ["no key of a dictionary"]]) is False


@pytest.mark.parametrize("spec", [TColumnSchema, TTableSchema, TStoredSchema])
def test_the_types_of_a_schema_are_what_they_are(spec: type) -> None:
    once.remember()
    assert validation.get_type_hints(spec, globalns={}) == typing_extensions.get_type_hints(spec)
    assert validation.get_type_hints(spec) is validation.get_type_hints(spec)

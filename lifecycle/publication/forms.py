"""Who may see what of a version: which files it consists of, and where the columns go that name a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifecycle import settings
from lifecycle.errors import ConfigurationError
from lifecycle.publication import catalogue, hyper, publish

if TYPE_CHECKING:
    import duckdb

    from lifecycle.progress import Progress


def of_build(connection: duckdb.DuckDBPyConnection, database: str, progress: Progress) -> publish.Form:
    """What a version consists of, by the settings and by what the catalogue calls personal.

    Raises:
        ConfigurationError: if a setting is wrong, or asks for an extract that this machine cannot make.
        PublishError: if personal data is to be kept apart and the build has no catalogue that says what that is.
    """
    wanted = settings.TABLEAU_EXTRACT.find() or "auto"
    if wanted == "true" and not hyper.is_installed():
        raise ConfigurationError(
            f"The setting {settings.TABLEAU_EXTRACT.name} is true, and the package tableauhyperapi is not installed:"
            " install it, or set auto to go without where it is missing."
        )
    if wanted == "auto" and not hyper.is_installed():
        progress.note("no Tableau extract: the package tableauhyperapi is not installed")
    personal: dict[tuple[str, str], frozenset[str]] = {}
    if settings.PERSONAL_DATA.find() == "apart":
        personal = catalogue.personal_columns(connection, database)
        if not personal:
            raise publish.PublishError(
                "Personal data is to be kept apart, and marts.published_columns does not say what that is:"
                " `lifecycle build` makes it."
            )
    return publish.Form(has_extract=wanted != "false" and hyper.is_installed(), personal=personal)

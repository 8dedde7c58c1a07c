"""All pages of one published version, written into a folder: one file each that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboard import drawing, executive, growth, standing, success, trust
from dashboard.content import Estimate, Value
from dashboard.published import opened
from dashboard.wording import several

if TYPE_CHECKING:
    from dashboard.content import Page, Section
    from dashboard.published import Published

MAKERS = (executive.page, growth.page, success.page, trust.page)


def write(pointer: Path, folder: Path) -> list[Path]:
    """Write every page about the version that `pointer` names; a page that is being looked at is replaced whole.

    Returns:
        The files, in the order of the pages' own links.

    Raises:
        NothingPublishedError: if nothing is published yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with opened(pointer) as published:
        pages = [make(published) for make in MAKERS]
        texts = [(page, _rendered(page, pages, published)) for page in pages]
    files = []
    for page, text in texts:
        path = folder / f"{page.name}.html"
        draft = folder / f".{page.name}.html"
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
        files.append(path)
    return files


def _rendered(page: Page, pages: list[Page], published: Published) -> str:
    environment = Environment(
        loader=PackageLoader("dashboard", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        page=page,
        pages=pages,
        version=published.version,
        standing=standing.read(published),
        style=_asset("page.css"),
        script=_asset("page.js"),
        picture=_picture,
        is_estimate=lambda cell: isinstance(cell, Estimate),
        wrapped=Value,
        several=several,
    )


def _picture(section: Section) -> Markup:
    if section.chart is None:
        return Markup()
    drawn = section.chart if isinstance(section.chart, str) else drawing.drawn(section.chart, section.anchor)
    return Markup(drawn)  # noqa: S704 - every text in it is escaped by who drew it


def _asset(name: str) -> Markup:
    text = (Path(__file__).parent / "template" / name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own file

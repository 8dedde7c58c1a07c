"""What the README and the pages of docs/ name is there: files, links, commands with their options, verbs, settings."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lifecycle import cli, known
from lifecycle.cli import COMMANDS

PROJECT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((PROJECT / "docs").glob("*.md")))]
ROOMS = ("activation", "benchmarks", "dashboard", "docs", "ingest", "lifecycle", "macros", "models", "sandbox", "seeds")
# what a page tells the reader to write: it is not there yet
TO_BE_WRITTEN = {
    "docs/add_a_destination.md": {"activation/destinations/pager.py", "models/activation/act_pager__incidents.sql"},
}


@cache
def text_of(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


@cache
def code_of(page: str) -> str:
    """What stands in code, a span or a line of a block to a line."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE))
    return "\n".join([*(span.replace("\n", " ") for span in spans), *blocks])


@cache
def anchors_of(page: str) -> set[str]:
    """The headings of a page as the addresses that a code host makes of them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def command(name: str) -> Any:
    return cli.Later(name, *COMMANDS[name]).load()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = ((PROJECT / page).parent / path).resolve() if path else PROJECT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(str(target.relative_to(PROJECT))), link


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page: str) -> None:
    named = re.findall(rf"(?<![\w/.-])(?:{'|'.join(ROOMS)}|tests)/[\w./-]*\w/?", text_of(page))
    gone = {path for path in named if not (PROJECT / path).exists()}
    assert gone == TO_BE_WRITTEN.get(page, set())


def test_every_room_is_in_the_tree_of_the_readme() -> None:
    rooms = {path.partition("/")[0] for path in tracked() if "/" in path and not path.startswith(".")}
    told = set(re.findall(r"`(\w+)/`", re.sub(r"(?s).*## The tree|## Point it.*", "", text_of("README.md"))))
    assert rooms - {"lint"} == told, "lint/ is sqlfluff's own"
    pages = set(re.findall(r"\]\(docs/(\w+\.md)\)", text_of("README.md")))
    assert pages == {page.removeprefix("docs/") for page in PAGES if page != "README.md"}


def tracked() -> list[str]:
    # a checkout may belong to somebody else than who tests it
    command = ["git", "-c", f"safe.directory={PROJECT}", "ls-files"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_there_and_take_these_options(page: str) -> None:
    calls = re.findall(r"(?:^|(?<=bin/)|(?<= ))lifecycle ([a-z][^#|`\"\n]*)", code_of(page), re.MULTILINE)
    for line in calls:
        name, *words = line.split()
        assert name in COMMANDS, line
        found = command(name)
        while words and words[0] in getattr(found, "commands", {}):
            found = found.commands[words.pop(0)]
        taken = {option for param in found.params for option in (*param.opts, *param.secondary_opts)}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= taken, line


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_verbs_are_there(page: str) -> None:
    for module in re.findall(r"python -m ((?:%s)[\w.]*)" % "|".join(ROOMS), code_of(page)):  # noqa: UP031
        assert (PROJECT / f"{module.replace('.', '/')}.py").exists(), module
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    for verb in re.findall(r"^make ([a-z-]+)", code_of(page), re.MULTILINE):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb


@pytest.mark.parametrize("page", PAGES)
def test_settings_are_there(page: str) -> None:
    told = {f"{section}.{key}" for section, key in re.findall(r"^\[([\w.]+)\] (\w+)", code_of(page), re.MULTILINE)}
    dotted = r"^((?:activation|alerts|retention|sandbox|sources)(?:\.[a-z0-9_]+)+)\b"
    told |= set(re.findall(dotted, code_of(page), re.MULTILINE))
    told |= {name.lower().replace("__", ".") for name in re.findall(r"\b[A-Z0-9]+__[A-Z0-9_]+\b", text_of(page))}
    for section, lines in re.findall(r"^\[([\w.]+)\]\n((?:\w+ = .*\n)+)", code_of(page), re.MULTILINE):
        told |= {f"{section}.{line.split()[0]}" for line in lines.splitlines()}
    assert told <= {setting.name for setting in known.every()}

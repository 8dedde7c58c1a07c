"""What is left out of dbt is not missed: each replacement gives what dbt's own gives.

That whole builds come out the same is what every other test sees that builds: they all run with the replacements.
"""

from __future__ import annotations

from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from dbt.clients.jinja import MacroStack
from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
from dbt.events.types import LogStartLine, NodeStart, NoNodesForSelectionCriteria
from dbt_common.clients import agate_helper, jinja
from dbt_common.events.event_manager_client import get_event_manager
from dbt_common.events.functions import fire_event

from lifecycle import dbt_spared
from lifecycle.dbt_spared import Templates

if TYPE_CHECKING:
    from pathlib import Path

LINE = {"description": "sql table model marts.x", "index": 1, "total": 2, "node_info": {"node_name": "x"}}


@pytest.fixture(autouse=True)
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Templates:
    found = Templates(tmp_path / "target" / "templates.marshal")
    use(found, monkeypatch)
    return found


def use(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name, value in dbt_spared.replacements(templates):
        monkeypatch.setattr(owner, name, value, raising=False)


def test_the_versions_are_those_that_are_installed() -> None:
    installed = {name: version(name) for name in dbt_spared.VERSIONS}
    assert installed == dbt_spared.VERSIONS, "look at what dbt_spared replaces in the new version before naming it"


def test_with_another_version_dbt_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, templates: Templates) -> None:
    monkeypatch.setattr(dbt_spared, "VERSIONS", {"dbt-core": "1.11.0"})
    monkeypatch.setattr(dbt_spared, "replacements", lambda _: pytest.fail("something was replaced"))
    assert not dbt_spared.spare(templates)


def test_an_event_that_is_listened_for_says_what_dbt_says() -> None:
    heard: list[Any] = []
    get_event_manager().add_callback(heard.append)
    fire_event(LogStartLine(**LINE))
    own = LogStartLine.__new__(LogStartLine)
    dbt_spared.PUT_TOGETHER(own, **LINE)
    assert [each.data for each in heard] == [own.pb_msg]
    assert heard[0].info.msg == own.message()


def test_other_events_are_not_even_put_together_unless_they_warn() -> None:
    heard: list[Any] = []
    get_event_manager().add_callback(heard.append)
    silent = NodeStart(node_info={"node_name": "x"})
    fire_event(silent)
    assert (heard, "pb_msg" in vars(silent)) == ([], False)
    assert silent.node_info.node_name == "x", "who asks gets it"
    fire_event(NoNodesForSelectionCriteria(spec_raw="nothing"))
    assert [each.info.level for each in heard] == ["warn"]


def test_a_logger_that_wants_everything_gets_it() -> None:
    written: list[Any] = []
    logger = SimpleNamespace(level="debug", filter=lambda _: True, write_line=written.append)
    get_event_manager().loggers.append(logger)
    fire_event(NodeStart(node_info={"node_name": "x"}))
    assert len(written) == 1


@pytest.mark.parametrize("package", ["ours", "library", "dbt"])
def test_macros_are_found_where_dbt_finds_them(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`package` is the one of the node: ours, one that we installed, or dbt's own."""
    names = {
        "ours": ["everywhere", "mine"],
        "library": ["everywhere", "theirs"],
        "dbt_duckdb": ["everywhere", "mine", "inside"],
        "dbt": ["everywhere", "mine", "inside", "theirs", "innermost"],
    }
    macros: Any = {
        where: {each: SimpleNamespace(name=each, package_name=where) for each in found}
        for where, found in names.items()
    }
    ctx: dict[str, Any] = {}
    ours, theirs = (MacroNamespaceBuilder("ours", package, MacroStack(), ["dbt_duckdb", "dbt"]) for _ in range(2))
    namespace = ours.build_namespace(macros, ctx)
    for each in macros.values():
        theirs.add_macros(each.values(), ctx)
    inside = {**theirs.internal_packages["dbt"], **theirs.internal_packages["dbt_duckdb"]}
    own = MacroNamespace(theirs.globals, theirs.locals, inside, theirs.packages)  # type: ignore[arg-type]
    assert told(namespace) == told(own)
    assert namespace["mine"].context is ctx  # type: ignore[union-attr]

    monkeypatch.setattr(dbt_spared, "FOUND_ABOVE", lambda _: {"mine": "a builtin", "var": "a builtin"})
    context = dbt_spared._to_dict(SimpleNamespace(namespace=namespace))
    assert told(context) == told({"var": "a builtin", **own})


def told(names: Any) -> Any:
    """Which macro each name stands for, in packages as well."""
    return {
        name: told(found) if isinstance(found, dict) else getattr(getattr(found, "macro", None), "package_name", found)
        for name, found in dict(names).items()
    }


def rendered(x: int) -> Any:
    template = jinja.get_template("{% set a = x + 1 %}{{ a }} and {{ [x, a] }}", {})
    return jinja.render_template(template, {"x": x})


def test_a_template_is_compiled_once(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendered(1) == "2 and [1, 2]"
    templates.keep()
    use(Templates(templates.path), monkeypatch)
    monkeypatch.setattr(dbt_spared, "COMPILE", lambda *_: pytest.fail("compiled again"))
    assert rendered(2) == "3 and [2, 3]"


@pytest.mark.parametrize("damage", ["torn", "of other versions", "gone"])
def test_a_file_of_templates_that_does_not_fit_counts_as_none(
    templates: Templates, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    rendered(1)
    templates.keep()
    if damage == "torn":
        templates.path.write_bytes(templates.path.read_bytes()[:-1])
    elif damage == "gone":
        templates.path.unlink()
    else:
        monkeypatch.setattr(dbt_spared, "VERSIONS", {"dbt-core": "1.11.0"})
    found = Templates(templates.path)
    assert found.compiled("kind", "text", lambda: compile("1", "x", "eval")) is not None
    assert len(found._used) == 1
    assert not found._before


def test_templates_of_former_models_do_not_pile_up(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept_after(number: int) -> int:
        found = Templates(templates.path)
        found.compiled("kind", f"{number}", lambda: compile("1", "x", "eval"))
        found.keep()
        return len(Templates(templates.path)._before)

    monkeypatch.setattr(dbt_spared, "MOST_TEMPLATES", 2)
    assert [kept_after(number) for number in range(4)] == [1, 2, 1, 2]


def test_results_are_read_as_dbt_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"a": 1, "b": "005", "c": None}, {"a": 2.5, "b": "", "c": True}]
    ours = agate_helper.table_from_data_flat(rows, ["a", "b", "c"])
    monkeypatch.setattr(agate_helper, "build_type_tester", dbt_spared.BUILD_TYPE_TESTER)
    own = agate_helper.table_from_data_flat(rows, ["a", "b", "c"])
    assert [type(each) for each in ours.column_types] == [type(each) for each in own.column_types]
    assert [list(row) for row in ours.rows] == [list(row) for row in own.rows]

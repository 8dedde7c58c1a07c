"""The connected_components materialization against a union-find written by hand.

dbt runs once over hundreds of random graphs put side by side in one table (a disjoint union of graphs has the
components of each), among them the shapes that break such algorithms: chains numbered in order, stars, rings, grids,
cliques, repeated edges, loops and single nodes.
"""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from tests.warehouse import PROJECT_DIR

MODEL = """
{{{{ config(materialized='connected_components', max_rounds={rounds}) }}}}
select node_a, node_b from main.{name}_pairs
"""

Pair = tuple[str, str]


def brute_force(pairs: list[Pair]) -> set[frozenset[str]]:
    leader: dict[str, str] = {}

    def find(node: str) -> str:
        leader.setdefault(node, node)
        while leader[node] != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    for left, right in pairs:
        leader[find(left)] = find(right)
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for node in list(leader):
        groups[find(node)].add(node)
    return {frozenset(group) for group in groups.values()}


def random_graph(name: str, rng: random.Random) -> list[Pair]:
    size = rng.randint(1, 40)
    nodes = [f"{name}-{number}" for number in range(size)]
    return [(rng.choice(nodes), rng.choice(nodes)) for _ in range(rng.randint(1, 2 * size))]


def shapes() -> list[Pair]:
    chain = [(f"chain{n:06d}", f"chain{n + 1:06d}") for n in range(3000)]
    backwards = [(f"kcab{n + 1:06d}", f"kcab{n:06d}") for n in range(3000)]
    star = [("hub", f"leaf{n}") for n in range(2000)]
    ring = [(f"ring{n}", f"ring{(n + 1) % 1000}") for n in range(1000)]
    steps = ((0, 1), (1, 0))
    grid = [(f"grid{x}-{y}", f"grid{x + dx}-{y + dy}") for x in range(40) for y in range(40) for dx, dy in steps]
    clique = [(f"clique{a}", f"clique{b}") for a in range(30) for b in range(30)]
    bridge = [("hub", "chain000000"), ("alone", "alone"), ("one", "two"), ("two", "one"), ("one", "two")]
    return chain + backwards + star + ring + grid + clique + bridge


@dataclass(frozen=True)
class Built:
    """What dbt made of each model: the error it ended in, or the components by node."""

    errors: dict[str, str]
    labels: dict[str, dict[str, str]]
    left_over: list[str]


def graphs() -> dict[str, list[Pair]]:
    """Models by name, each over a table of its own pairs."""
    rng = random.Random(20250501)
    many = shapes() + [pair for number in range(400) for pair in random_graph(f"random{number}", rng)]
    shuffled = [(right, left) for left, right in many]
    rng.shuffle(shuffled)
    return {
        "many": many,
        "shuffled": shuffled,
        "loops": [("a", "a"), ("b", "b")],
        "nothing": [],
        "capped": [(f"n{n}", f"n{n + 1}") for n in range(3000)],
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A project that has nothing but the macro under test and a model per graph, run once."""
    folder = tmp_path_factory.mktemp("components")
    (folder / "models").mkdir()
    (folder / "macros").mkdir()
    shutil.copy(PROJECT_DIR / "macros" / "connected_components.sql", folder / "macros")
    (folder / "dbt_project.yml").write_text(
        "name: components_under_test\nversion: 1.0.0\nconfig-version: 2\nprofile: test\n"
        "flags: {send_anonymous_usage_stats: false}\n"
    )
    path = folder / "warehouse.duckdb"
    (folder / "profiles.yml").write_text(
        f"test: {{target: t, outputs: {{t: {{type: duckdb, path: '{path}', schema: main, threads: 1}}}}}}\n"
    )
    with duckdb.connect(str(path)) as connection:
        for name, pairs in graphs().items():
            rounds = 1 if name == "capped" else 20
            (folder / "models" / f"{name}.sql").write_text(MODEL.format(name=name, rounds=rounds))
            connection.execute(f"create table {name}_pairs (node_a varchar, node_b varchar)")
            connection.execute(
                f"insert into {name}_pairs select unnest($left), unnest($right)",
                {"left": [left for left, _ in pairs], "right": [right for _, right in pairs]},
            )
    try:
        done: Any = dbtRunner().invoke(
            ["run", "--quiet", "--project-dir", str(folder), "--profiles-dir", str(folder), "--log-level-file", "none"]
        )
    finally:
        DuckDBConnectionManager.close_all_connections()
    errors = {each.node.name: str(each.message) for each in done.result if str(each.status) != "success"}
    with duckdb.connect(str(path), read_only=True) as connection:
        labels = {
            name: dict(connection.execute(f"select node, component from {name}").fetchall())
            for name in graphs()
            if name not in errors
        }
        scratch = "select table_name from duckdb_tables() where table_name like 'components_of_%'"
        left_over = [name for (name,) in connection.execute(scratch).fetchall()]
    return Built(errors, labels, left_over)


def groups_of(label: dict[str, str]) -> set[frozenset[str]]:
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for node, component in label.items():
        groups[component].add(node)
    return {frozenset(group) for group in groups.values()}


def test_components_are_those_of_a_union_find_and_named_after_a_member(built: Built) -> None:
    assert groups_of(built.labels["many"]) == brute_force(graphs()["many"])
    assert all(built.labels["many"][name] == name for name in set(built.labels["many"].values()))


def test_they_depend_on_no_order_of_rows_or_ends(built: Built) -> None:
    assert built.labels["shuffled"] == built.labels["many"]


def test_a_graph_without_edges_gives_every_node_its_own_component(built: Built) -> None:
    assert built.labels["loops"] == {"a": "a", "b": "b"}
    assert built.labels["nothing"] == {}


def test_the_hard_cap_stops_a_run_and_says_so(built: Built) -> None:
    assert set(built.errors) == {"capped"}
    assert "edges after 1 rounds" in built.errors["capped"]


def test_no_scratch_table_is_left(built: Built) -> None:
    assert built.left_over == []

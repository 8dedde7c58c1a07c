"""The connected_components materialization against a union-find written by hand.

dbt runs once over hundreds of random graphs put side by side in one table (a disjoint union of graphs has the
components of each), among them the shapes that break such algorithms: chains numbered in order, stars, rings, grids,
cliques, repeated edges, loops and single nodes.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import duckdb

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = """
{{{{ config(materialized='connected_components', max_rounds={rounds}) }}}}
select node_a, node_b from main.pairs
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


def run_dbt(folder: Path, pairs: list[Pair], rounds: int = 20) -> subprocess.CompletedProcess[str]:
    """Build one model over the pairs in a project that has nothing but the macro under test."""
    (folder / "models").mkdir(parents=True)
    (folder / "macros").mkdir()
    shutil.copy(REPOSITORY / "macros" / "connected_components.sql", folder / "macros")
    (folder / "models" / "components.sql").write_text(MODEL.format(rounds=rounds))
    (folder / "dbt_project.yml").write_text(
        "name: components_under_test\nversion: 1.0.0\nconfig-version: 2\nprofile: test\n"
        "flags: {send_anonymous_usage_stats: false}\n"
    )
    (folder / "profiles.yml").write_text(
        "test: {target: t, outputs: {t: {type: duckdb, path: warehouse.duckdb, schema: main, threads: 1}}}\n"
    )
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("create table pairs (node_a varchar, node_b varchar)")
        connection.execute(
            "insert into pairs select unnest($left), unnest($right)",
            {"left": [left for left, _ in pairs], "right": [right for _, right in pairs]},
        )
    return subprocess.run(  # noqa: PLW1510 - the tests read the return code
        [sys.executable, "-m", "dbt.cli.main", "run", "--no-use-colors", "--profiles-dir", "."],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith(("DBT_", "LIFECYCLE_"))},
        capture_output=True,
        text=True,
        timeout=120,
    )


def components_in(folder: Path) -> tuple[set[frozenset[str]], dict[str, str]]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        label = dict(connection.execute("select node, component from main.components").fetchall())
        left_over = connection.execute(
            "select table_name from duckdb_tables() where table_name like 'components_of_%'"
        ).fetchall()
    assert left_over == []
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for node, component in label.items():
        groups[component].add(node)
    return {frozenset(group) for group in groups.values()}, label


def test_components_are_those_of_a_union_find_and_depend_on_no_row_order(tmp_path: Path) -> None:
    rng = random.Random(20250501)
    pairs = shapes() + [pair for number in range(400) for pair in random_graph(f"random{number}", rng)]
    first = run_dbt(tmp_path / "first", pairs)
    assert first.returncode == 0, first.stdout
    found, labels = components_in(tmp_path / "first")
    assert found == brute_force(pairs)
    assert all(labels[name] == name for name in set(labels.values()))

    shuffled = [(right, left) for left, right in pairs]
    rng.shuffle(shuffled)
    second = run_dbt(tmp_path / "second", shuffled)
    assert second.returncode == 0, second.stdout
    assert components_in(tmp_path / "second")[1] == labels


def test_a_graph_without_edges_gives_every_node_its_own_component(tmp_path: Path) -> None:
    result = run_dbt(tmp_path / "loops", [("a", "a"), ("b", "b")])
    assert result.returncode == 0, result.stdout
    assert components_in(tmp_path / "loops")[1] == {"a": "a", "b": "b"}


def test_the_hard_cap_stops_a_run_and_says_so(tmp_path: Path) -> None:
    result = run_dbt(tmp_path / "capped", [(f"n{n}", f"n{n + 1}") for n in range(3000)], rounds=1)
    assert result.returncode == 1
    assert "edges after 1 rounds" in result.stdout

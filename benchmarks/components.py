"""Connected components of five million nodes: the project's own materialization against SciPy's, on the same graphs.

Both start from the same table in the same kind of DuckDB file (pairs of node names, as text, the way this project names
its records and identifiers) and both end with the same table (node, component). What is timed for us: dbt running the
one model, from its first statement to its commit. What is timed for SciPy: reading the pairs, numbering the names,
`scipy.sparse.csgraph.connected_components`, naming each component by a member, writing the table. SciPy's own part
alone, on names that are numbers already, is stated beside it. Both results are compared, node by node.

The shapes: `identity` (3 M records carrying 2 M identifiers, and 200 inboxes that 200 people share each), `random`
(one giant component), `chains` (5,000 chains of 1,000 nodes whose names say nothing about their place), and
`ordered chains` (5 chains of a million nodes numbered along the chain, on which min-label methods crawl).

    python -m benchmarks.components
    python -m benchmarks.components --nodes 1000000 --shapes identity
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.figures import Figure, main
from benchmarks.job import PROJECT_DIR

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

RATIO_BAR = 3.0
MEMORY_BAR_GB = 4.0
MEMORY_LIMIT = "2500MB"  # of DuckDB; the process needs some beside it
SEED = 20250501

MODEL = "{{ config(materialized='connected_components') }}\nselect node_a, node_b from main.pairs\n"
PROJECT = """
name: components_under_test
version: 1.0.0
config-version: 2
profile: test
flags: {send_anonymous_usage_stats: false}
"""
PROFILE = f"""
test:
  target: t
  outputs:
    t:
      type: duckdb
      path: warehouse.duckdb
      schema: main
      threads: 1
      settings: {{memory_limit: {MEMORY_LIMIT}, preserve_insertion_order: false, threads: {{threads}}}}
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one way to the components cost, and what it found."""

    seconds: float
    cpu_seconds: float
    peak_gb: float
    core_seconds: float = 0.0


def identity_graph(nodes: int, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Records of people, each carrying one or two identifiers of its person, and shared inboxes that glue."""
    records, identifiers = nodes * 3 // 5, nodes * 2 // 5
    people = identifiers * 5 // 8
    # every person has an identifier; the others fall where they fall
    owner = np.concatenate([np.arange(people), rng.integers(0, people, identifiers - people)])
    owner.sort()
    first = np.searchsorted(owner, np.arange(people))
    owned = np.bincount(owner, minlength=people)
    person = rng.integers(0, people, records)
    carriers = np.concatenate([np.arange(records), rng.choice(records, nodes - records, replace=False)])
    carried = first[person[carriers]] + rng.integers(0, owned[person[carriers]])
    inboxes = np.repeat(np.arange(identifiers - 200, identifiers), 200)
    glued = rng.integers(0, records, len(inboxes))
    left = np.concatenate([carriers, glued])
    return left, records + np.concatenate([carried, inboxes])


def random_graph(nodes: int, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """As many edges as nodes, anywhere: four nodes of five end in one component."""
    return rng.integers(0, nodes, nodes), rng.integers(0, nodes, nodes)


def chains(nodes: int, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Chains of a thousand whose names are dealt out at random."""
    names = rng.permutation(nodes)
    here = np.arange(nodes)[np.arange(nodes) % 1000 != 999]
    return names[here[here < nodes - 1]], names[here[here < nodes - 1] + 1]


def ordered_chains(nodes: int, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Five long chains whose names rise along the chain."""
    del rng
    length = nodes // 5
    here = np.arange(nodes - 1)[np.arange(nodes - 1) % length != length - 1]
    return here, here + 1


SHAPES: dict[str, Callable[[int, np.random.Generator], tuple[Numbers, Numbers]]] = {
    "identity": identity_graph,
    "random": random_graph,
    "chains": chains,
    "ordered chains": ordered_chains,
}


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Ratio, seconds and memory per shape."""
    figures = []
    for shape in arguments.shapes:
        with tempfile.TemporaryDirectory() as folder:
            pairs, nodes = _draw(Path(folder) / "pairs.duckdb", shape, arguments.nodes)
            ours = _alone(_resolve_here, Path(folder) / "ours", Path(folder) / "pairs.duckdb")
            theirs = _alone(_resolve_with_scipy, Path(folder) / "scipy", Path(folder) / "pairs.duckdb")
            components = _compare(Path(folder))
        graph = f"{nodes:,} nodes, {pairs:,} edges, {components:,} components"
        against = f"scipy {theirs.seconds:.1f} s (CPU {theirs.cpu_seconds:.1f} s)"
        ratio = ours.seconds / theirs.seconds
        figures += [
            Figure(f"{shape}: wall time", ours.seconds, "s", f"{against}; {graph}", ratio),
            Figure(f"{shape}: wall time over scipy's", ratio, "x", against, bar=RATIO_BAR),
            Figure(
                f"{shape}: CPU time", ours.cpu_seconds, "s", "scipy's CPU time", ours.cpu_seconds / theirs.cpu_seconds
            ),
            Figure(
                f"{shape}: scipy's function alone, on numbers",
                theirs.core_seconds,
                "s",
                "our wall time",
                ours.seconds / theirs.core_seconds,
            ),
            Figure(f"{shape}: peak memory", ours.peak_gb, "GB", f"scipy {theirs.peak_gb:.2f} GB", bar=MEMORY_BAR_GB),
        ]
    return figures


def _draw(path: Path, shape: str, nodes: int) -> tuple[int, int]:
    """Write the graph; how many edges and nodes it has."""
    left, right = SHAPES[shape](nodes, np.random.default_rng(SEED))
    edges = pa.table({"a": left, "b": right})
    with duckdb.connect(str(path)) as connection:
        connection.register("edges", edges)
        # names as long as this project's own (`bitrix24:contact:4711`); zero-padded, so that text order is number order
        connection.execute(
            "create table pairs as select"
            " 'silo:record:' || lpad(cast(a as varchar), 9, '0') as node_a,"
            " 'silo:record:' || lpad(cast(b as varchar), 9, '0') as node_b from edges"
        )
    return len(left), len(np.unique(np.concatenate([left, right])))


def _alone(work: Callable[[Path, Connection], None], folder: Path, pairs: Path) -> Spent:
    """Do the work in a process of its own, so that its peak of memory is its own too."""
    folder.mkdir()
    shutil.copy(pairs, folder / "warehouse.duckdb")
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(folder, there))
    process.start()
    there.close()
    try:
        spent: Spent = here.recv()
    except EOFError:
        process.join()
        sys.exit(f"{work.__name__} ended with exit code {process.exitcode}.")
    process.join()
    return spent


def _resolve_here(folder: Path, answer: Connection) -> None:
    """The materialization, in a project that has nothing else."""
    from dbt.cli.main import dbtRunner  # noqa: PLC0415 - dbt is big, and the parent has no need of it

    for name in ("models", "macros"):
        (folder / name).mkdir()
    shutil.copy(PROJECT_DIR / "macros" / "connected_components.sql", folder / "macros")
    (folder / "models" / "components.sql").write_text(MODEL, encoding="utf-8")
    (folder / "dbt_project.yml").write_text(PROJECT, encoding="utf-8")
    (folder / "profiles.yml").write_text(PROFILE.replace("{threads}", str(os.cpu_count())), encoding="utf-8")
    os.chdir(folder)
    common = ["--quiet", "--profiles-dir", ".", "--no-version-check"]
    parsed: Any = dbtRunner().invoke(["parse", *common])
    cpu = time.process_time()
    done: Any = dbtRunner(manifest=parsed.result).invoke(["run", *common])
    if not done.success:
        sys.exit(str([each.message for each in done.result or ()] or done.exception))
    results = json.loads((folder / "target" / "run_results.json").read_text("utf-8"))["results"]
    answer.send(Spent(results[0]["execution_time"], time.process_time() - cpu, _peak_gb()))


def _resolve_with_scipy(folder: Path, answer: Connection) -> None:
    from scipy.sparse import coo_array  # noqa: PLC0415 - only this process needs it
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    with duckdb.connect(str(folder / "warehouse.duckdb"), config={"memory_limit": MEMORY_LIMIT}) as connection:
        started, cpu = time.perf_counter(), time.process_time()
        pairs = connection.sql("select node_a, node_b from pairs").to_arrow_table()
        both = pa.chunked_array([*pairs["node_a"].chunks, *pairs["node_b"].chunks]).combine_chunks()
        coded = both.dictionary_encode()
        names, codes = coded.dictionary, coded.indices.to_numpy()
        left, right = codes[: len(pairs)], codes[len(pairs) :]
        core = time.perf_counter()
        graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(names), len(names)))
        count, label = connected_components(graph, directed=False)
        core = time.perf_counter() - core
        leader = np.full(count, -1, dtype=np.int64)
        leader[label[::-1]] = np.arange(len(names))[::-1]
        found = pa.table({"node": names, "component": names.take(pa.array(leader[label]))})
        connection.register("found", found)
        connection.execute("create table components as select node, component from found")
        connection.execute("checkpoint")
        answer.send(Spent(time.perf_counter() - started, time.process_time() - cpu, _peak_gb(), core))


def _peak_gb() -> float:
    status = Path("/proc/self/status").read_text("ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) / 1e6


def _compare(folder: Path) -> int:
    """How many components both found; the benchmark ends here if they differ in one node."""
    with duckdb.connect() as connection:
        for name in ("ours", "scipy"):
            connection.execute(f"attach '{folder / name / 'warehouse.duckdb'}' as {name} (read_only)")
        # two partitions are the same if each has as many parts as their common refinement
        found = connection.execute(
            "select count(distinct ours.component), count(distinct scipy.component),"
            " count(distinct (ours.component, scipy.component)), count(*),"
            " (select count(*) from ours.components), (select count(*) from scipy.components)"
            " from ours.components as ours inner join scipy.components as scipy using (node)"
        ).fetchone()
    if found is None or len(set(found[:3])) != 1 or len(set(found[3:])) != 1:
        sys.exit(f"The two disagree: {found}")
    components: int = found[0]
    return components


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5_000_000, help="nodes, and about as many edges")
    parser.add_argument("--shapes", nargs="+", choices=sorted(SHAPES), default=list(SHAPES))
    main(measure, parser)

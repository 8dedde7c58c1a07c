"""A run that is killed anywhere, followed by another one, ends like a run that nobody disturbed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import silos
from harness import Ingest, Reader, contents_of, set_up

from sandbox import serve

DAY = silos.NOW.date()
# at which step of which source's run the process dies
MOMENTS = {"quarantined": "product", "load": "stripe", "before_completion": "stripe"}

# What a killed run is: the same steps, cut off at a place that the parent chooses. One process imports, a fork dies.
CHILD = textwrap.dedent(
    """
    import json, os, signal, sys
    from datetime import datetime
    from pathlib import Path
    from dlt.load.load import Load
    from ingest import extract, pipeline, worker

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    def doomed(moment, source, data_dir):
        start, complete, noted = Load.start_new_jobs, Load.complete_package, pipeline._record_quarantine
        if moment == "load":
            Load.start_new_jobs = lambda self, *args, **kwargs: die(start(self, *args, **kwargs))
        elif moment == "before_completion":
            Load.complete_package = die
        else:
            pipeline._record_quarantine = lambda *args: die(noted(*args))
        as_of = datetime(2026, 11, 1, 6)
        extract.record_run(data_dir, "killed", as_of)
        pipeline.run_source(source, run_id="killed", as_of=as_of, data_dir=data_dir, say=lambda _: None)

    pipeline.apply_dlt_settings()
    moments, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    worker._preload(sorted(set(moments.values())))
    for moment, source in moments.items():
        child = os.fork()
        if not child:
            doomed(moment, source, folder / moment)
            os._exit(0)
        print(moment, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    """
)


@pytest.fixture(scope="module")
def killed(running: serve.RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each moment: what the killed run left, and beside it what an undisturbed one ends with."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch, folder, running.url)
        silos.empty(running.world.store)
        silos.fill(running.world.store)
        for back in range(1, 4):
            silos.write_events(folder / "data" / "bucket" / "events", DAY, silos.event_rows(DAY, 40), f"{back}.parquet")
        bad = silos.write_events(folder / "data" / "bucket" / "events", DAY, silos.event_rows(DAY, 5))
        bad.write_bytes(b"no parquet")
        child = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(MOMENTS), str(folder)],
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert child.stdout.split() == [word for moment in MOMENTS for word in (moment, str(-signal.SIGKILL))]
        for moment, source in MOMENTS.items():
            shutil.copytree(folder / moment, folder / f"{moment}, as it was left")
            assert Ingest(folder / moment)(source).ok
        for source in sorted(set(MOMENTS.values())):
            undisturbed = Reader(folder / f"undisturbed {source}")
            assert undisturbed(source).ok
            undisturbed.close()
    return folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_followed_by_another_ends_like_an_undisturbed_one(killed: Path, moment: str) -> None:
    undisturbed = contents_of(killed / f"undisturbed {MOMENTS[moment]}")
    assert sum(map(len, undisturbed.values())) > 10
    left = Ingest(killed / f"{moment}, as it was left")
    assert (left.count("raw_ops.runs"), left.count("raw_ops.extracts")) == (1, 0), "it was killed before it was done"
    assert contents_of(killed / moment) == undisturbed

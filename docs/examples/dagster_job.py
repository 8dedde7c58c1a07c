"""The daily job as a Dagster job: one op a run, its exit code the op's fate, its numbers the op's metadata.

Try it: `pip install dagster`, then `dagster job execute -f docs/examples/dagster_job.py -j daily`. Dagster lives in an
environment of its own; the project's command is called by its path, so that neither has to agree with the other's
dependencies. LIFECYCLE_COMMAND names it if it is not .venv/bin/lifecycle in the working directory.
"""

import json
import os
import subprocess

from dagster import Failure, OpExecutionContext, RetryRequested, ScheduleDefinition, job, op

COMMAND = os.environ.get("LIFECYCLE_COMMAND", ".venv/bin/lifecycle")
DONE, SAYS_NO, COULD_NOT_RUN = 0, 1, 2


@op
def lifecycle_run(context: OpExecutionContext) -> None:
    """Ingest, build, gate, publish, activate. Asked again after a kill it ends with the same numbers."""
    done = subprocess.run([COMMAND, "run", "--json"], capture_output=True, text=True, check=False)
    for line in done.stderr.splitlines():
        context.log.info(line)
    answer = json.loads(done.stdout) if done.stdout.strip() else {}
    context.add_output_metadata({"version": str(answer.get("version")), "as_of": str(answer.get("as_of"))})
    if done.returncode == COULD_NOT_RUN:  # a silo was down or somebody else is at work: later may be better
        reason = answer.get("error") or "; ".join(answer.get("messages", []))
        raise RetryRequested(max_retries=2, seconds_to_wait=600) from RuntimeError(reason)
    if done.returncode == SAYS_NO:  # the gate is shut or a destination refused: a person has to look
        raise Failure(description="; ".join(answer.get("messages", [])) or "The run says no.", allow_retries=False)


@job
def daily() -> None:
    """One run."""
    lifecycle_run()


at_six = ScheduleDefinition(job=daily, cron_schedule="0 6 * * *", execution_timezone="UTC")

"""The run: ingest, build, gate, publish, activate, and the command line for it."""

import os
from pathlib import Path

# dlt looks for .dlt/ in the working directory unless told before it is imported; `lifecycle` works from anywhere
os.environ.setdefault("DLT_PROJECT_DIR", str(Path(__file__).resolve().parent.parent))
# neither dbt nor dlt may report home
os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "False")
os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")

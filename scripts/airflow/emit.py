"""Sends one event several times with Cosmos' own client and prints how long the caller waited each time. Arguments: origin, times."""

import json
import sys
import time

import airflow  # Before Cosmos: importing Cosmos first fails in a circular import of Airflow.
from cosmos import constants, telemetry

origin, times = sys.argv[1], int(sys.argv[2])
constants.TELEMETRY_URL = f"{origin}/astronomer-cosmos/{{telemetry_version}}/{{event_type}}?{{query_string}}"
FIELDS = {"storage_type": "local", "docs_dir_configured": True, "uses_custom_conn": False, "has_custom_name": False}
waits = []
for _ in range(times):
    started = time.perf_counter()
    is_success = telemetry.emit_usage_metrics_if_enabled("dbt_docs_access", FIELDS)
    waits.append({"waitedMs": (time.perf_counter() - started) * 1000, "isSuccess": is_success})
json.dump(waits, sys.stdout)

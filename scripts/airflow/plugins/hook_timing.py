"""For the test only: records how long Cosmos' listeners wait for each event, one JSON line each."""

import json
import os
import time
from functools import wraps

from airflow.plugins_manager import AirflowPlugin
from cosmos import telemetry


def timed(emit):
    @wraps(emit)
    def emit_and_write_down(metrics):
        event_type = metrics.get("event_type")
        started = time.perf_counter()
        is_success = emit(metrics)
        waited_ms = (time.perf_counter() - started) * 1000
        line = json.dumps({"at": time.time(), "eventType": event_type, "waitedMs": round(waited_ms, 3), "isSuccess": is_success})
        # A short write in append mode is atomic between processes.
        with open(os.environ["AIRFLOW_TEST_TIMINGS"], "a", encoding="utf-8") as file:
            file.write(line + "\n")
        return is_success

    return emit_and_write_down


# Airflow loads a plug-in again in the process of a task, which is a fork of a process that has loaded it.
if not hasattr(telemetry.emit_usage_metrics, "__wrapped__"):
    telemetry.emit_usage_metrics = timed(telemetry.emit_usage_metrics)


class HookTimingPlugin(AirflowPlugin):
    name = "hook_timing"

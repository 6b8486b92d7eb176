"""Python alone: its gzip, its `splitlines`, which cuts at each line end of Unicode, and its JSON."""
import gzip
import json
import platform
from datetime import datetime

from common import answer, job

with gzip.open(job["file"], "rt", encoding="utf-8", errors="strict") as file:
    lines = file.read().splitlines()
events = {}
for line in lines:
    event = json.loads(line, parse_constant=lambda name: 1 / 0)
    assert len(json.loads(line, object_pairs_hook=list)) == len(event), line
    for column in job["columns"]:
        value = event.get(column["name"])
        expected = {"count": int, "double": float, "boolean": bool}.get(column["type"], str)
        assert value is None or type(value) is expected, (column["name"], value)
    events.setdefault(event["id"], event)


def row_of(event):
    # Whole milliseconds: a float of seconds would round them.
    time = datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S.%fZ") - datetime(1970, 1, 1)
    milliseconds = (time.days * 86_400 + time.seconds) * 1000 + time.microseconds // 1000
    return [milliseconds if column["name"] == "time" else event.get(column["name"]) for column in job["columns"]]


answer(f"Python {platform.python_version()}", [row_of(event) for event in events.values()], [])

"""What the readers share: the job they are given, and how they hand back what they read."""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as job_file:
    job = json.load(job_file)


def answer(version, rows, sums):
    """Writes the rows, each a list in the order of the columns with its time in milliseconds, and the result of the query."""
    with open(job["answer"], "w", encoding="utf-8") as file:
        json.dump({"version": version, "rows": [list(row) for row in rows], "sums": [list(row) for row in sums]}, file)

"""ClickHouse, as the library chdb. The file is loaded twice, and its lines are inserted once: each event is there once."""
import json

import chdb
from chdb import session

from common import answer, job

statements = job["statements"]["clickhouse"]
clickhouse = session.Session(job["folder"] + "/clickhouse")


def rows_of(query):
    settings = "SETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_escape_forward_slashes = 0"
    text = clickhouse.query(f"{query.rstrip(';')} FORMAT JSONCompactEachRow {settings}").bytes().decode("utf-8")
    # By the newline alone: `splitlines` would cut texts, too.
    return [json.loads(line) for line in text.split("\n") if line]


clickhouse.query("CREATE DATABASE acme ENGINE = Atomic")
clickhouse.query("USE acme")
clickhouse.query(statements["createTable"])
clickhouse.query(statements["createTable"])
clickhouse.query(statements["insertFile"])
clickhouse.query(statements["insertFile"])
with open(job["lines"], encoding="utf-8") as lines:
    clickhouse.query(statements["insert"] + "\n" + lines.read())

names = [column["name"] for column in job["columns"]]
shown = ", ".join('toUnixTimestamp64Milli("time")' if name == "time" else f'"{name}"' for name in names)
once = statements["select"].rstrip(";")
# The version of ClickHouse says what the version of chdb does not.
version = f"chdb {chdb.__version__}, ClickHouse {rows_of('SELECT version()')[0][0]}"
answer(version, rows_of(f"SELECT {shown} FROM ({once})"), rows_of(job["query"].replace("TABLE", f"({once})")))

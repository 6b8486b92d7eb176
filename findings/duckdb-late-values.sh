#!/usr/bin/env bash
# DuckDB 2.0.1 guesses the type of a column of NDJSON by its first rows. If these are all null, the type is "NULL", and each later value is
# lost: no error, no warning, and the number of rows is right. 1.5.6 takes such a column for JSON and keeps the values. With declared columns
# both keep them.
# Usage: bash findings/duckdb-late-values.sh        Needs Python with venv. Exits with 1 if the versions behave differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >program.py <<'PYTHON'
import json, duckdb
with open("late.ndjson", "w") as file:
    for index in range(60000):
        file.write(json.dumps({"id": index, "value": None if index < 50000 else "x"}) + "\n")
for columns in ["", ", columns = {'id': 'BIGINT', 'value': 'VARCHAR'}"]:
    rows, values = duckdb.sql(f"SELECT count(*), count(value) FROM read_json('late.ndjson'{columns})").fetchall()[0]
    print("declared" if columns else "guessed", rows, values, end=" ")
PYTHON
said=''
for version in 1.5.6 2.0.1; do
  python3 -m venv "env-$version"
  "env-$version/bin/pip" install --quiet --no-deps --disable-pip-version-check "duckdb==$version" 2>/dev/null
  answer=$("env-$version/bin/python" program.py)
  echo "duckdb $version: $answer"
  said+="$version $answer"
done
[ "$said" = "1.5.6 guessed 60000 10000 declared 60000 10000 2.0.1 guessed 60000 0 declared 60000 10000" ] ||
  [ "$said" = "1.5.6 guessed 60000 10000 declared 60000 10000 2.0.1 guessed 60000 0 declared 60000 10000 " ]

#!/usr/bin/env bash
# DuckDB does not look at the checksum of a .gz file: one that is wrong gives no error in 1.5.6 and 2.0.1. A file that is cut off in the
# middle gives no error in 1.5.6, which counts the rows that are there; 2.0.1 refuses it. `gzip -t` refuses both files. So a download that
# stopped early gives numbers that look right.
# Usage: bash findings/duckdb-damaged-gzip.sh        Needs Python with venv. Exits with 1 if the versions behave differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >program.py <<'PYTHON'
import gzip, random, duckdb
rows = "".join(f"{index},{random.Random(index).random()}\n" for index in range(100000)).encode()
whole = gzip.compress(rows)
wrong = bytearray(whole)
wrong[-6] ^= 0x55  # A byte of the checksum.
for name, content in {"whole": whole, "cut": whole[: len(whole) // 2], "wrong": bytes(wrong)}.items():
    with open(f"{name}.csv.gz", "wb") as file:
        file.write(content)
    try:
        columns = "{'a': 'BIGINT', 'b': 'DOUBLE'}"
        query = f"SELECT count(*) FROM read_csv('{name}.csv.gz', columns = {columns}, auto_detect = false, delim = ',')"
        print(name, duckdb.sql(query).fetchall()[0][0], end=" ")
    except duckdb.Error:
        print(name, "refused", end=" ")
PYTHON
said=''
for version in 1.5.6 2.0.1; do
  python3 -m venv "env-$version"
  "env-$version/bin/pip" install --quiet --no-deps --disable-pip-version-check "duckdb==$version" 2>/dev/null
  answer=$("env-$version/bin/python" program.py)
  echo "duckdb $version: $answer"
  said+="$version $answer"
done
for file in cut wrong; do if gzip -t "$file.csv.gz" 2>/dev/null; then exit 1; fi; done
[[ $said =~ ^"1.5.6 whole 100000 cut "[0-9]+" wrong 100000 2.0.1 whole 100000 cut refused wrong 100000 "?$ ]]

"""DuckDB, in a session outside of UTC. The file is loaded twice."""
import duckdb

from common import answer, job

statements = job["statements"]["duckdb"]
connection = duckdb.connect(job["folder"] + "/events.duckdb")
connection.execute("SET TimeZone = 'America/New_York'")
for statement in [statements["createTable"], statements["createTable"], statements["insertFile"], statements["insertFile"]]:
    connection.execute(statement)
names = [column["name"] for column in job["columns"]]
as_read = {"id": "id::VARCHAR", "time": 'epoch_ms("time")'}
shown = ", ".join(as_read.get(name, f'"{name}"') for name in names)
rows = connection.execute(f"SELECT {shown} FROM {job['table']}").fetchall()
sums = connection.execute(job["query"].replace("TABLE", job["table"])).fetchall()
answer(f"DuckDB {duckdb.__version__}", rows, [[int(value) if type(value).__name__ == "Decimal" else value for value in row] for row in sums])

"""polars: the program of the documentation, and the query in words of its own."""
import polars

from common import answer, job

names = {}
exec(job["statements"]["polars"], names)
events = names["usage_events"]
rows = events.with_columns(polars.col("time").dt.epoch("ms")).select([column["name"] for column in job["columns"]]).rows()
time = polars.col("time").dt.epoch("ms")
sums = (
    events.filter(polars.col("acme_version").is_not_null())
    .group_by("event")
    .agg(
        polars.len().alias("events"),
        polars.col("id").n_unique().alias("ids"),
        polars.col("took").sum(),
        polars.col("duration").sum(),
        polars.col("attempt").sum(),
        polars.col("big").max(),
        polars.col("flag").count(),
        time.min().alias("first"),
        time.max().alias("last"),
    )
    .sort("event")
    .rows()
)
answer(f"polars {polars.__version__}", rows, sums)

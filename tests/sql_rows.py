"""A program for `flink run`: executes the SQL statements in a file, prints the rows of queries as JSON."""

import json
import sys
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment

table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
for statement in Path(sys.argv[1]).read_text().split(";"):
    if not statement.strip():
        continue
    result = table.execute_sql(statement)
    if statement.split()[0] == "SELECT":
        with result.collect() as rows:
            for row in rows:
                print("ROW", json.dumps(list(row)), flush=True)

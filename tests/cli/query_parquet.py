"""Asks DuckDB a question and prints its rows as lines of JSON: no nulls, times as dnsterrier writes them.

usage: query_parquet.py SQL
"""

import datetime
import json
import sys

import duckdb


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
connection.execute(sys.argv[1])
names = [column[0] for column in connection.description]
for row in connection.fetchall():
    cells = zip(names, map(plain, row))
    print(json.dumps({name: value for name, value in cells if value is not None}))

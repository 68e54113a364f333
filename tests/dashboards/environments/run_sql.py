"""Runs SQL in ClickHouse or DuckDB: `python run_sql.py clickhouse FOLDER < statements.json`; prints the rows as JSON.

Statements are [{"sql": ..., "parameters": {...}}]; the rows of each are dictionaries, with decimals and large whole
numbers as texts. It runs in an environment of its own, because both engines are large.
"""

import json
import sys
from decimal import Decimal
from typing import Any


def clickhouse(folder: str, statements: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    from chdb.session import Session

    session = Session(folder)
    exact = (
        "SET output_format_json_quote_decimals = 1, output_format_json_quote_64bit_integers = 1,"
        " max_threads = 2"
    )
    session.query(exact)
    results = []
    for each in statements:
        for name, value in each.get("parameters", {}).items():
            session.query(f"SET param_{name} = '{value}'")
        text = str(session.query(each["sql"], "JSONEachRow"))
        results.append([json.loads(line) for line in text.splitlines() if line])
    return results


def duckdb(folder: str, statements: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    from duckdb import connect

    connection = connect()
    connection.execute("SET TimeZone = 'UTC'")
    results = []
    for each in statements:
        cursor = connection.execute(each["sql"])
        names = [column[0] for column in cursor.description or ()]
        results.append([dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchall()])
    return results


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if isinstance(value, int | float | str | list | None) else str(value)


if __name__ == "__main__":
    engine, folder = sys.argv[1:]
    found = {"clickhouse": clickhouse, "duckdb": duckdb}[engine](folder, json.load(sys.stdin))
    sys.stdout.write(json.dumps(found))

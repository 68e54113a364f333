"""ClickHouse's part of scale.py, in the environment that has it: fills the table, and times inserts and queries.

    python scale_queries.py FOLDER < statements.json

FOLDER has rows.jsonl. Prints JSON: bytes of a span on disk, CPU and wall seconds.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from chdb.session import Session


def spent(run: Callable[[], object]) -> tuple[float, float]:
    """Returns the CPU seconds of all threads, and the wall seconds."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    run()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started


def main(folder: Path) -> None:
    given = json.load(sys.stdin)
    session = Session(str(folder / "database"))
    session.query(given["table"])
    lines = (folder / "rows.jsonl").read_text().splitlines()
    inserts = [
        f"INSERT INTO otel_traces FORMAT JSONEachRow {chr(10).join(lines[at : at + 10_000])}"
        for at in range(0, len(lines), 10_000)
    ]
    cpu, _ = spent(lambda: [session.query(each) for each in inserts])
    merging, _ = spent(lambda: session.query("OPTIMIZE TABLE otel_traces FINAL"))
    size = int(
        str(
            session.query(
                "SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'otel_traces' AND active", "CSV"
            )
        )
    )
    session.query(given["calls"])
    result = {
        "rows": len(lines),
        "insert, µs a span": cpu * 1e6 / len(lines),
        "merge, µs a span": merging * 1e6 / len(lines),
        "ClickHouse, bytes a span": size / len(lines),
    }
    session.query("SET param_since = '2020-01-01 00:00:00'")
    session.query("SET param_until = '2100-01-01 00:00:00'")
    for name, query in given["queries"].items():
        cpu, wall = spent(lambda query=query: session.query(query, "JSONEachRow"))
        result |= {f"{name}, CPU s": cpu, f"{name}, s": wall, f"{name}, µs a span": cpu * 1e6 / len(lines)}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

import gzip
import json
import math
import sqlite3
import stat
from contextlib import closing

import pytest
from records import call, span

from otel_callbacks.explore import EventRecord, LinkRecord, Traces, read_jsonl
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.index.file_index import FileIndex


def line(trace_id="a", span_id="1", name="one", **more):
    written = {"traceId": trace_id * 32, "spanId": span_id * 16, "name": name, **more}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [written]}]}]}) + "\n"


def names(index):
    return [row["name"] for row in index.query("SELECT name FROM spans ORDER BY name")]


def test_spans_are_the_same_after_indexing():
    attributes = {
        "a": ("x", 1, 2.0, True),
        "b": b"\x00",
        "inf": (-math.inf,),
        "null": None,
        "文": {"n": "字"},
    }
    record = span(
        "a",
        "1",
        "2",
        kind="CLIENT",
        events=(EventRecord("exception", 7, {"exception.type": "E"}),),
        links=(LinkRecord("b" * 32, "c" * 16, {"why": b"\xff"}),),
        status="ERROR",
        status_message="no",
        scope="test",
        resource={"service.name": "shop"},
        **attributes,
    )
    assert list(Traces.of([record])[0].spans) == [record]


def test_nan_is_read_back():
    [trace] = Traces.of([span("a", "1", score=math.nan)])
    assert math.isnan(trace.spans[0].attributes["score"])


def test_totals_are_right_if_the_spans_of_a_trace_come_in_parts():
    index = Index()
    inner, outer = (
        call("a", "2", "1", gen_ai__usage__cost_usd=2.0),
        call("a", "1", gen_ai__usage__cost_usd=3.0),
    )
    index.add([inner])
    index.add([outer, span("a", "3", "1", status="ERROR")])
    [totals] = index.query("SELECT name, spans, errors, tokens, cost FROM traces")
    assert totals == {"name": "1", "spans": 3, "errors": 1, "tokens": 110, "cost": 3.0}
    assert index.query("SELECT sum(cost) AS cost FROM spans WHERE counted") == [{"cost": 3.0}]


def test_queries_reach_attributes_times_and_durations():
    index = Index()
    index.add(
        [span("a", "1", start_ns=1_700_000_000_123_000_000, end_ns=1_700_000_001_623_000_000, n__x="y")]
    )
    [row] = index.query("""SELECT start, duration, attributes ->> '$."n.x"' AS value FROM spans""")
    assert row == {"start": "2023-11-14T22:13:20.123Z", "duration": 1.5, "value": "y"}


def test_a_query_cannot_change_anything():
    index = Index()
    index.add([span("a", "1")])
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        index.query("DELETE FROM spans")
    assert names(index) == ["1"]


@pytest.mark.parametrize(
    "query",
    [
        *("ATTACH '{}' AS other", "VACUUM INTO '{}'", "VACUUM", "DETACH main", "DROP TABLE spans", "ANALYZE"),
        *("BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT a", "COMMIT", "ROLLBACK", "PRAGMA query_only = 0"),
        *("PRAGMA user_version = 99", "PRAGMA writable_schema = 1", "PRAGMA journal_mode = DELETE"),
        *(
            "CREATE TABLE a (b)",
            "CREATE TEMP TABLE a AS SELECT 1",
            "CREATE VIEW a AS SELECT 1",
            "CREATE INDEX i ON spans (name)",
        ),
        *(
            "INSERT INTO spans (name) VALUES ('x') RETURNING name",
            "UPDATE spans SET name = ''",
            "UPDATE sqlite_master SET sql = ''",
        ),
        *(
            "SELECT load_extension('{}')",
            "SELECT fts3_tokenizer('simple')",
            "CREATE VIRTUAL TABLE a USING fts5(b)",
        ),
        *(
            "WITH a AS (SELECT 1) DELETE FROM spans",
            "REPLACE INTO spans (name) VALUES ('x')",
            "ALTER TABLE spans RENAME TO b",
        ),
    ],
)
def test_a_query_can_do_nothing_but_read(query, tmp_path):
    for index in (Index(), Index(tmp_path / "index.sqlite")):
        index.add([span("a", "1")])
        before = sorted(tmp_path.iterdir())
        with pytest.raises(sqlite3.OperationalError, match=r"readonly|may not be modified"):
            index.query(query.format(tmp_path / "other.sqlite"))
        assert sorted(tmp_path.iterdir()) == before
        index.add([span("a", "2")])  # the connection is in no transaction, and may write
        assert names(index) == ["1", "2"]


def test_a_query_may_read_whatever_the_tables_hold():
    index = Index()
    index.add([span("a", "1", app__team="x")])
    query = "SELECT j.key, j.value FROM spans, json_each(attributes) AS j WHERE j.value = ? ORDER BY 1"
    assert index.query(query, ["x"]) == [{"key": "app.team", "value": "x"}]
    assert len(index.query("SELECT * FROM pragma_table_info('traces')")) > 5
    counted = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) AS s FROM n"
    assert index.query(counted) == [{"s": 6}]
    assert index.query("EXPLAIN QUERY PLAN SELECT * FROM spans")


def test_only_new_lines_of_a_file_are_read(tmp_path):
    long = line(name="long " + "x" * 70_000)
    (tmp_path / "t.jsonl").write_text(long + line("b", name="two"))
    files = FileIndex(tmp_path)
    assert names(files.index())[1:] == ["two"]
    (tmp_path / "t.jsonl").write_text(long + line("b", name="TWO") + line("c", name="three"))
    assert names(files.index())[1:] == ["three", "two"]


def test_a_line_that_is_being_written_is_read_when_complete(tmp_path):
    files = FileIndex(tmp_path)
    long, new = line(name="long " + "x" * 70_000), line("b", name="new")
    (tmp_path / "t.jsonl").write_text(long + new[:50])
    assert len(names(files.index())) == 1
    (tmp_path / "t.jsonl").write_text(long + new)
    assert names(files.index())[1:] == ["new"]


def test_a_renamed_file_stays_indexed_and_a_deleted_one_is_forgotten(tmp_path):
    (tmp_path / "a.jsonl").write_text(line("a", "1", "kept") + line("b", "1", "shared"))
    (tmp_path / "b.jsonl").write_text(line("b", "2", "dropped") + line("c", "1", "dropped"))
    files = FileIndex(tmp_path)
    assert len(names(files.index())) == 4
    (tmp_path / "a.jsonl").rename(tmp_path / "z.jsonl")
    (tmp_path / "b.jsonl").unlink()
    assert names(files.index()) == ["kept", "shared"]
    assert files.index().query("SELECT name, spans FROM traces ORDER BY 1") == [
        {"name": "kept", "spans": 1},
        {"name": "shared", "spans": 1},
    ]


def test_a_replaced_file_is_read_again(tmp_path):
    files = FileIndex(tmp_path / "t.jsonl")
    for name in ("old", "new"):
        (tmp_path / "t.jsonl").write_text(line("a" if name == "old" else "b", name=name))
        assert names(files.index()) == [name]


def test_the_index_stays_for_the_next_process_and_only_the_owner_reads_it(tmp_path):
    (tmp_path / "t.jsonl").write_text(line())
    FileIndex(tmp_path).index()
    assert stat.S_IMODE((tmp_path / "index.sqlite").stat().st_mode) == 0o600
    assert names(Index(tmp_path / "index.sqlite")) == ["one"]


def test_an_index_of_another_version_is_rebuilt(tmp_path):
    (tmp_path / "t.jsonl").write_text(line())
    with closing(sqlite3.connect(tmp_path / "t.jsonl.sqlite")) as older:
        older.executescript("CREATE TABLE spans (old); PRAGMA user_version = 99")
    assert names(FileIndex(tmp_path / "t.jsonl").index()) == ["one"]


def test_a_file_of_the_user_at_the_path_of_the_index_stays(tmp_path, caplog):
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(line().encode()))
    (tmp_path / "t.jsonl.gz.sqlite").write_text("no database, but something else of the user's")
    assert names(FileIndex(tmp_path / "t.jsonl.gz").index()) == ["one"]
    assert (tmp_path / "t.jsonl.gz.sqlite").read_text().startswith("no database")
    assert "indexing in memory" in caplog.text


def test_if_no_index_file_can_be_created_the_index_is_in_memory(tmp_path, caplog):
    (tmp_path / "t.jsonl").write_text(line())
    (tmp_path / "t.jsonl.sqlite").mkdir()
    files = FileIndex(tmp_path / "t.jsonl")
    assert [names(files.index()) for _ in range(2)] == [["one"]] * 2
    assert caplog.text.count("indexing in memory") == 1


def test_a_file_that_is_renamed_during_a_sync_is_found_by_the_next(tmp_path):
    (tmp_path / "t.jsonl").write_text(line())
    index = Index()
    index.sync([tmp_path / "gone.jsonl", tmp_path / "t.jsonl"])
    assert names(index) == ["one"]


def test_several_files_are_one_collection_and_leave_nothing_behind(tmp_path):
    (tmp_path / "a.jsonl").write_text(line("a", "1", "root"))
    (tmp_path / "b.jsonl").write_text(line("a", "2", "child", parentSpanId="1" * 16))
    [trace] = Traces.open(tmp_path / "a.jsonl", str(tmp_path / "b.jsonl"))
    assert [span.name for span in trace.walk()] == ["root", "child"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_span_that_is_in_two_files_is_there_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(line() + line("b", name=name))
    assert len(names(FileIndex(tmp_path).index())) == 2
    assert len(list(read_jsonl(tmp_path))) == 4

import gc
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from processes import run_script

from otel_callbacks.explore import Traces
from otel_callbacks.explore.index.ring import Ring


@pytest.fixture
def traced():
    """Makes a ring with the given limits, a tracer that it listens to, and a collection of its traces."""

    def make(**limits):
        ring = Ring(**limits)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(ring)
        return provider.get_tracer("test"), Traces(ring.index)

    return make


def names(traces):
    return [[span.name for span in trace.spans] for trace in traces]


def test_a_span_is_there_as_soon_as_it_has_ended(traced):
    tracer, traces = traced()
    with tracer.start_as_current_span("root"):
        with tracer.start_as_current_span("child", attributes={"n": 1}):
            pass
        assert names(traces) == [["child"]]
    assert names(traces) == [["root", "child"]]
    assert traces[0].spans[1].attributes == {"n": 1}


def test_only_the_last_traces_are_kept_and_the_log_says_so_once(traced, caplog):
    caplog.set_level("INFO")
    tracer, traces = traced(max_traces=3)
    for name in "abcde":
        tracer.start_span(name).end()
    assert names(traces) == [["c"], ["d"], ["e"]]
    assert caplog.messages == ["only the latest traces are kept in memory from now on"]


def test_memory_is_limited_also_for_indexed_traces(traced):
    tracer, traces = traced(max_bytes=1_000_000)
    for index in range(50):
        tracer.start_span(str(index), attributes={"text": f"{index}" * 50_000}).end()
        assert len(traces) <= 20
    assert sum(len(trace.spans[0].attributes["text"]) for trace in traces) <= 1_000_000
    assert traces.last().name == "49"


def test_a_trace_that_is_too_big_keeps_its_end(traced):
    tracer, traces = traced(max_bytes=30_000)
    with tracer.start_as_current_span("root"):
        for index in range(9):
            tracer.start_span(str(index), attributes={"text": "x" * 10_000}).end()
            assert len(traces.last().spans) <= 2
    assert names(traces) == [["root", "8"]]


def test_text_in_events_and_arrays_counts(traced):
    tracer, traces = traced(max_bytes=30_000)
    for _ in range(3):
        span = tracer.start_span("one", attributes={"texts": ["x" * 10_000]})
        span.add_event("said", {"text": "x" * 10_000})
        span.end()
    assert len(traces) == 1


def test_a_span_that_the_garbage_collector_ends_while_the_ring_is_at_work_does_not_block(traced):
    tracer, traces = traced()

    class EndsLate:
        def __init__(self):
            self.span = tracer.start_span("late")

        def __del__(self):
            self.span.end()

    class Collecting(str):
        def __sizeof__(self):
            gc.collect()
            return 1

    def work():
        garbage = EndsLate()
        garbage.me = garbage
        del garbage
        tracer.start_span("root", attributes={"text": Collecting("x")}).end()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(10)
    assert not worker.is_alive()
    assert sorted(names(traces)) == [["late"], ["root"]]


def test_threads_lose_nothing(traced):
    tracer, traces = traced(max_traces=1000)
    workers = [
        threading.Thread(target=lambda: [tracer.start_span("x").end() for _ in range(100)]) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        len(traces)
    assert len(traces) == 800


def test_a_forked_child_that_inherits_a_held_lock_goes_on(tmp_path):
    script = """
        import os
        from opentelemetry.sdk.trace import TracerProvider
        from otel_callbacks.explore.index.ring import Ring

        ring, provider = Ring(), TracerProvider()
        provider.add_span_processor(ring)
        ring._lock.acquire()
        child = os.fork()
        if child:
            os.wait()
        else:
            provider.get_tracer("test").start_span("child").end()
            print(ring.index().query("SELECT name FROM spans"), flush=True)
    """
    assert run_script(script, tmp_path) == "[{'name': 'child'}]\n"


def test_configure_adds_one_ring_however_often_it_runs(tmp_path):
    script = """
        from opentelemetry import trace
        import otel_callbacks

        configure, traces = otel_callbacks.configure, otel_callbacks.traces
        configure(file="f.jsonl")
        for _ in range(5):
            configure(local=True)
        trace.get_tracer("test").start_span("hello").end()
        print([(one.name, len(one.spans)) for one in traces], traces.sql("SELECT count(*) AS n FROM spans"))
    """
    assert run_script(script, tmp_path) == "[('hello', 1)] [{'n': 1}]\n"


def test_configure_with_replace_keeps_the_traces_in_the_ring(tmp_path):
    script = """
        import otel_callbacks

        configure, traces = otel_callbacks.configure, otel_callbacks.traces
        for name in ("one", "two"):
            configure(file="f.jsonl", local=True, replace=True)
            configure().tracer_provider.get_tracer("test").start_span(name).end()
        configure().shutdown()
        print([one.name for one in traces])
    """
    assert run_script(script, tmp_path) == "['one', 'two']\n"

"""Processes that end without running exit functions lose nothing, if they use the hook that fits."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from otlp_servers import OtlpServer, otlp_http
from processes import run_script
from receivers import receiver
from redis_servers import running_redis

from otel_callbacks.export import process_end
from otel_callbacks.export.outbox import Outbox, QueueLimits
from otel_callbacks.export.process_end import flush_on_signal, flushing_lifespan

AT_MOST = 60  # seconds; only something broken takes so long


@pytest.fixture
def back_end() -> Iterator[OtlpServer]:
    with otlp_http() as server:
        yield server


def start(folder: Path, *command: str, **variables: str) -> "subprocess.Popen[str]":
    """Starts a Python program of `folder`; its spans wait for a minute, so that only its end sends them."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "60000", **variables},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: "subprocess.Popen[str]", text: str) -> str:
    """Reads what a process logs until a line has a text; returns that line."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"the process ended without {text!r}")


# --- uvicorn --------------------------------------------------------------------------------------------------------

APPLICATION = """
    import signal
    from contextlib import asynccontextmanager

    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    import otel_callbacks
    from otel_callbacks import configure, flush_on_signal, flushing_lifespan, step

    @step
    def work():
        pass

    @asynccontextmanager
    async def own(application):
        yield {"answer": "done"}
        with step("closing"):
            pass

    async def answer(request):
        work()
        return PlainTextResponse(request.state.answer)

    def application(lifespan):
        return Starlette(routes=[Route("/", answer)], lifespan=lifespan)
"""
WITH_LIFESPAN = """
    configure()
    app = application(flushing_lifespan(own))
"""
WITH_SIGNAL = """
    if __name__ == "__main__":
        configure()
        flush_on_signal(signal.SIGTERM)
        uvicorn.run(application(own), port=0)
"""


@pytest.mark.parametrize(
    ("code", "command"),
    [(WITH_LIFESPAN, ["-m", "uvicorn", "app:app", "--port", "0"]), (WITH_SIGNAL, ["app.py"])],
    ids=["lifespan", "signal"],
)
def test_a_rolling_deploy_of_uvicorn_loses_nothing(
    code: str, command: list[str], back_end: OtlpServer, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APPLICATION) + textwrap.dedent(code))
    process = start(tmp_path, *command, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{back_end.url}/v1/traces")
    with process:
        address = wait_for(process, "Uvicorn running on").partition(" on ")[2].split()[0]
        with urllib.request.urlopen(address, timeout=AT_MOST) as response:
            assert response.read() == b"done"
        assert back_end.spans() == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(AT_MOST) == -signal.SIGTERM  # uvicorn has repeated it
    assert [span.name for span in back_end.spans()] == ["work", "closing"]


async def test_a_lifespan_gives_what_the_applications_own_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[Any] = []

    def flush(timeout: float) -> bool:
        happened.append((timeout, threading.current_thread() is threading.main_thread()))
        return True

    @asynccontextmanager
    async def own(application: str) -> Any:
        happened.append(application)
        yield {"state": 1}
        happened.append("closed")

    monkeypatch.setattr(process_end, "flush_process", flush)
    async with flushing_lifespan(own, timeout=0.5)("application") as state:
        assert state == {"state": 1}
    assert happened == ["application", "closed", (0.5, False)]
    with pytest.raises(LookupError):
        async with flushing_lifespan()("application"):
            raise LookupError
    assert len(happened) == 4


# --- signals --------------------------------------------------------------------------------------------------------


def test_a_signal_that_kills_sends_also_what_is_open(back_end: OtlpServer, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        textwrap.dedent(
            """
            import sys, time
            from otel_callbacks import configure, flush_on_signal, step, workflow
            configure()
            flush_on_signal()
            with workflow("long"):
                with step("short"):
                    pass
                print("working", file=sys.stderr, flush=True)
                time.sleep(600)
            """
        )
    )
    process = start(tmp_path, "app.py", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{back_end.url}/v1/traces")
    with process:
        wait_for(process, "working")
        process.send_signal(signal.SIGTERM)
        assert process.wait(AT_MOST) == -signal.SIGTERM
    spans = {span.name: span.attributes.get("otel_callbacks.outcome") for span in back_end.spans()}
    assert spans == {"short": None, "invoke_workflow long": "unfinished"}


@pytest.fixture
def usual() -> Iterator[list[str]]:
    """What happens in the handler that SIGUSR1 has before each test."""
    happened: list[str] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: happened.append("usual"))
    yield happened
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_keeps_its_handler_and_gets_it_back(
    usual: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_end, "flush_process", lambda timeout: usual.append("flushed"))
    restore = flush_on_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    assert usual == ["flushed", "usual"]
    restore()
    signal.raise_signal(signal.SIGUSR1)
    assert usual == ["flushed", "usual", "usual"]


def test_a_signal_does_not_wait_for_a_lock_that_the_interrupted_code_holds(
    usual: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox[int]("there", len, QueueLimits(delay=0.001))
    outbox.put(1)
    ended = threading.Event()

    def flush(timeout: float) -> None:
        outbox.flush(AT_MOST)
        ended.set()

    monkeypatch.setattr(process_end, "flush_process", flush)
    restore = flush_on_signal(signal.SIGUSR1, timeout=0.05)
    with outbox._changed:
        signal.raise_signal(signal.SIGUSR1)
        assert usual == ["usual"]
        assert not ended.is_set()
    assert ended.wait(AT_MOST)
    restore()


def test_only_the_main_thread_may_set_a_handler() -> None:
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            flush_on_signal(signal.SIGUSR1)
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert str(raised[0]).startswith("flush_on_signal must be called in the main thread")


# --- a back end that does not answer ---------------------------------------------------------------------------------


def test_the_log_says_how_much_waits_and_how_much_is_lost(tmp_path: Path) -> None:
    with receiver("hanging", tmp_path) as back_end:
        printed = run_script(
            f"""
            import logging, sys
            from otel_callbacks import configure, step
            from otel_callbacks.export.process_end import finish_process, flush_process
            logging.basicConfig(stream=sys.stdout, format="%(message)s")
            configure(endpoints={back_end.url!r})
            for _ in range(3):
                with step("one"):
                    pass
            print(flush_process(0.1))
            finish_process(0.1)
            """,
            tmp_path,
        )
    assert [line.replace(back_end.url, "URL") for line in printed.splitlines()] == [
        "not all telemetry was accepted within 0.1 s; what waits (4 spans, events or collections of metrics) is lost"
        " if the process ends now",
        "False",
        "URL: 3 spans are lost so far: 3 were not accepted, 0 found the queue full or closed",
        "URL: 2 collections of metrics are lost so far: 1 were not accepted, 1 found the queue full or closed",
    ]


# --- whatever the application has set up ----------------------------------------------------------------------------


def test_providers_of_the_application_are_flushed_within_the_time(tmp_path: Path) -> None:
    printed = run_script(
        """
        import threading, time
        from opentelemetry import trace
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from otel_callbacks.export.process_end import flush_process

        class Scripted(SpanProcessor):
            opened = threading.Event()

            def force_flush(self, timeout_millis=30000):
                return self.opened.wait(60)

        print(flush_process(1))  # nothing is set up
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(Scripted())
        trace.set_tracer_provider(provider)
        started = time.monotonic()
        print(flush_process(0.05), time.monotonic() - started < 30)
        Scripted.opened.set()
        print(flush_process(60))
        """,
        tmp_path,
    )
    assert printed.split() == ["True", "False", "True", "True"]


# --- what is lost is said, and what takes long is done early --------------------------------------------------------


def test_the_log_says_how_much_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox[int]("there", lambda batch: 0, QueueLimits(queue=4, batch=2, delay=0.001), "spans")
    for _ in range(2):
        outbox.put(1)
        outbox.flush(AT_MOST)
    outbox.close(AT_MOST)
    assert [record.getMessage() for record in caplog.records] == [
        f"there: {lost} spans are lost so far: {lost} were not accepted, 0 found the queue full or closed"
        for lost in (1, 2)
    ]


def test_the_encoder_is_imported_before_the_first_span_ends(tmp_path: Path) -> None:
    printed = run_script(
        """
        import os, sys, threading
        from otel_callbacks import configure
        configure()
        loading = [each for each in threading.enumerate() if each.name == "otel_callbacks imports"]
        if os.fork() == 0:  # a child never inherits a module that is half imported
            print("opentelemetry.exporter.otlp.proto.common.trace_encoder" in sys.modules, flush=True)
            os._exit(0)
        os.wait()
        print(len(loading))
        """,
        tmp_path,
    )
    assert printed.split() == ["True", "1"]


# --- workers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as address:
        yield address


JOBS = """
    import os

    from otel_callbacks import configure, step

    configure()

    @step
    def work(number):
        with step(f"part {number}"):
            return os.getpid()
"""


@pytest.mark.services
def test_jobs_of_rq_lose_nothing(redis_server: str, back_end: OtlpServer, tmp_path: Path) -> None:
    from redis import Redis
    from rq import Queue

    (tmp_path / "jobs.py").write_text(textwrap.dedent(JOBS))
    queue = Queue(connection=Redis.from_url(redis_server))
    jobs = [queue.enqueue("jobs.work", number) for number in range(3)]
    worker = "otel_callbacks.export.rq_worker.FlushingWorker"
    ordered = ["-m", "rq.cli", "worker", "--burst", "--url", redis_server, "--worker-class", worker]
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{back_end.url}/v1/traces",
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
    }
    with start(tmp_path, *ordered, **variables) as process:
        _, logged = process.communicate(timeout=AT_MOST)
    assert process.returncode == 0, logged
    assert len({job.return_value() for job in jobs}) == 3, logged
    assert sorted(span.name for span in back_end.spans()) == ["part 0", "part 1", "part 2", *["work"] * 3]


@pytest.mark.services
@pytest.mark.parametrize("configured", ["before", "after", "by opentelemetry-instrument"])
def test_a_task_per_process_of_celery_loses_nothing(
    configured: str, redis_server: str, back_end: OtlpServer, tmp_path: Path
) -> None:
    """Whether `configure` is called before Celery is imported or after it, or somebody else has set everything up."""
    jobs = textwrap.dedent(JOBS)
    by_command = configured.startswith("by")
    lines = ["import celery", jobs.replace("configure()", "") if by_command else jobs]
    (tmp_path / "tasks.py").write_text(
        "\n".join(reversed(lines) if configured == "before" else lines)
        + textwrap.dedent(
            f"""
            app = celery.Celery("tasks", broker={redis_server!r}, backend={redis_server!r})
            app.conf.worker_max_tasks_per_child = 1
            app.conf.broker_connection_retry_on_startup = True
            app.task(work, name="work")
            """
        )
    )
    import celery

    client = celery.Celery("tasks", broker=redis_server, backend=redis_server)
    ordered = ["-m", "celery", "-A", "tasks", "worker", "--concurrency", "1", "--loglevel", "INFO"]
    if by_command:
        ordered = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, *ordered]
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{back_end.url}/v1/traces",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    with start(tmp_path, *ordered, **variables) as process:
        wait_for(process, "ready.")
        results = [client.send_task("work", [number]) for number in range(3)]
        assert len({result.get(timeout=AT_MOST) for result in results}) == 3
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=AT_MOST)
    assert sorted(span.name for span in back_end.spans()) == ["part 0", "part 1", "part 2", *["work"] * 3]

import gzip
import json
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from otlp_servers import OtlpServer, otlp_grpc, otlp_http

from otel_callbacks.cli import main
from otel_callbacks.explore import JsonLinesSpanExporter, read_jsonl


@pytest.fixture
def server() -> Iterator[OtlpServer]:
    with otlp_http() as running:
        yield running


@pytest.fixture
def file(tmp_path):
    """Six spans of three traces, one per line, with every kind of value."""
    path = tmp_path / "t.jsonl"
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(path)))
    tracer = provider.get_tracer("otel_callbacks", "1.0")
    values = {
        "text": "文 🎈",
        "int": 2**62,
        "inf": -1e999,
        "flag": True,
        "bytes": b"\x00\xff",
        "list": ["a", "b"],
    }
    for number in range(3):
        with tracer.start_as_current_span(f"root {number}") as root:
            links = [Link(root.get_span_context(), {"why": "resume"})]
            with tracer.start_as_current_span(
                "chat", kind=SpanKind.CLIENT, attributes=values, links=links
            ) as child:
                child.add_event("chunk", {"index": 1})
                child.set_status(Status(StatusCode.ERROR, "no"))
    return path


def replay(*arguments, **environment):
    return CliRunner().invoke(main, ["replay", *map(str, arguments)], env=environment)


@pytest.mark.parametrize(
    ("receiving", "protocol"), [(otlp_http, "http/protobuf"), (otlp_http, "http/json"), (otlp_grpc, "grpc")]
)
def test_the_endpoint_receives_the_recorded_spans(file, receiving, protocol):
    with receiving() as server:
        ran = replay(file, "--to", server.url, "--protocol", protocol)
        assert (ran.exit_code, ran.stdout) == (0, f"{file}: 6 spans sent to {server.url}\n")
        assert ran.stderr == ""  # the progress bar is for terminals
        assert server.spans() == list(read_jsonl(file))
    assert list(file.parent.iterdir()) == [file]


def test_the_received_spans_write_the_same_file(file, server, tmp_path):
    replay(file, "--to", server.url, "--protocol", "http/json")
    [request] = server.requests
    (tmp_path / "again.jsonl").write_bytes(request)
    assert list(read_jsonl(tmp_path / "again.jsonl")) == list(read_jsonl(file))


def test_requests_stay_under_the_limit_and_a_bigger_span_goes_alone(file, server):
    line = len(file.read_bytes().splitlines()[0])
    assert replay(file, "--to", server.url, "--max-bytes", line).exit_code == 0
    assert all(request.ByteSize() <= line for request in server.requests)
    assert 1 < len(server.requests) < 6
    one_by_one = len(server.requests)
    assert replay(file, "--to", server.url, "--max-bytes", 1).exit_code == 0
    assert len(server.requests) == one_by_one + 6


def test_a_line_that_is_bigger_than_the_limit_is_split(file, server):
    documents = [json.loads(line) for line in file.read_text().splitlines()]
    together = {"resourceSpans": [each for document in documents for each in document["resourceSpans"]]}
    file.write_text(json.dumps(together) + "\n")
    assert replay(file, "--to", server.url, "--max-bytes", 700).exit_code == 0
    assert len(server.requests) > 1
    assert all(request.ByteSize() <= 700 for request in server.requests)
    assert sorted(span.span_id for span in server.spans()) == sorted(
        span.span_id for span in read_jsonl(file)
    )


def test_an_interrupted_replay_continues_where_it_stopped(file, server):
    server.answers = [(200, b""), (200, b""), (400, b"disk full")]
    first = replay(file, "--to", server.url, "--max-bytes", 1)
    assert first.exit_code == 1
    assert f"Error: {server.url}/v1/traces answered 400 Bad Request: disk full; run the same" in first.stderr
    second = replay(file, "--to", server.url)
    assert second.exit_code == 0
    assert "continuing at byte" in second.stdout
    assert [span.span_id for span in server.spans()] == [span.span_id for span in read_jsonl(file)]


@pytest.mark.parametrize("other", ["another file", "another endpoint", "--restart"])
def test_only_the_same_replay_continues(file, server, other):
    server.answers = [(200, b""), (400, b"")]
    replay(file, "--to", server.url, "--max-bytes", 1)
    if other == "another file":
        file.write_bytes(file.read_bytes().split(b"\n", 1)[1])
    endpoint = f"{server.url}/" if other == "another endpoint" else server.url
    ran = replay(file, "--to", endpoint, *(["--restart"] if other == "--restart" else []))
    assert "going on" not in ran.stdout
    assert len(server.spans()) == 1 + len(list(read_jsonl(file)))


def test_a_request_to_a_busy_endpoint_is_retried(file, server):
    server.answers = [(503, b"")]
    assert replay(file, "--to", server.url).exit_code == 0
    assert len(server.spans()) == 6


def test_a_request_to_a_busy_grpc_endpoint_is_retried(file):
    with otlp_grpc() as server:
        server.answers = [("UNAVAILABLE", b"later")]
        assert replay(file, "--to", server.url, "--protocol", "grpc").exit_code == 0
        assert len(server.spans()) == 6


def test_a_rejection_by_a_grpc_endpoint_is_an_error(file):
    with otlp_grpc() as server:
        server.answers = [("UNAUTHENTICATED", b"who are you")]
        ran = replay(file, "--to", server.url, "--protocol", "grpc")
    assert ran.exit_code == 1
    assert "answered UNAUTHENTICATED: who are you" in ran.stderr


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_rejected_spans_are_counted(file, server, protocol):
    response = ExportTraceServiceResponse(partial_success={"rejected_spans": 2, "error_message": "too old"})
    as_json = b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}'
    server.answers = [(200, as_json if protocol == "http/json" else response.SerializeToString())]
    ran = replay(file, "--to", server.url, "--protocol", protocol)
    assert ran.exit_code == 1
    assert "4 spans sent" in ran.stdout
    assert "2 spans rejected: too old" in ran.stderr


def test_an_unknown_answer_rejects_nothing(file, server):
    server.answers = [(200, b"\xffok")]
    assert replay(file, "--to", server.url).exit_code == 0


def test_a_redirect_is_no_success(file, server):
    server.answers = [(302, b"")]
    assert "answered 302" in replay(file, "--to", server.url).stderr


def test_an_answer_that_repeats_a_key_is_shown_without_it(file, server):
    server.answers = [(401, b"invalid key: hunter22, given as 'Bearer hunter22'")]
    ran = replay(file, "--to", server.url, "--header", "authorization=Bearer hunter22")
    assert "answered 401" in ran.stderr and "invalid key: [redacted], given as '[redacted]'" in ran.stderr
    assert "hunter22" not in ran.output


def test_headers_come_from_options_and_the_environment(file, server):
    environment = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=2", "OTEL_EXPORTER_OTLP_ENDPOINT": server.url}
    assert replay(file, "--header", "b=3", "--header", "X-Key = s=cret", **environment).exit_code == 0
    sent = server.headers[0]
    assert (sent["a"], sent["b"], sent["x-key"]) == ("1", "3", "s=cret")


@pytest.mark.parametrize("receiving", [otlp_http, otlp_grpc])
def test_an_option_replaces_the_environments_header_however_it_is_spelt(file, receiving):
    with receiving() as server:
        protocol = "grpc" if receiving is otlp_grpc else "http/json"
        options = ("--to", server.url, "--protocol", protocol, "--header", "Authorization=mine")
        assert replay(file, *options, OTEL_EXPORTER_OTLP_HEADERS="authorization=theirs").exit_code == 0
    assert server.headers[0]["authorization"] == "mine"


def test_a_folder_is_replayed_file_by_file(file, server):
    (file.parent / "old.jsonl.gz").write_bytes(gzip.compress(file.read_bytes()))
    assert replay(file.parent, "--to", server.url).stdout.count("6 spans sent") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "localhost:4318"], "'localhost:4318' is not an http(s) address"),
        (["--to", "http://x", "--header", "oops"], "'oops' is not NAME=VALUE"),
        ([], "Missing option '--to'"),
    ],
)
def test_invalid_arguments_are_errors(file, arguments, message):
    ran = replay(file, *arguments)
    assert ran.exit_code == 2
    assert message in ran.stderr


def test_a_file_that_is_not_a_trace_file_is_unreadable(server, tmp_path):
    (tmp_path / "t.jsonl").write_text("Once upon\n")
    ran = replay(tmp_path / "t.jsonl", "--to", server.url)
    assert (ran.exit_code, server.requests) == (2, [])
    assert "not a line of OTLP JSON" in ran.stderr


def test_a_password_of_the_address_is_printed_nowhere_and_reaches_the_host(file, receiving_server):
    server, protocol = receiving_server
    server.answers = [("OK", b""), ("INTERNAL", b"no")] if protocol == "grpc" else [(200, b""), (400, b"no")]
    address = server.url.replace("://", "://ann:hunter22@")
    for code in (0, 1):
        ran = replay(file, "--to", address, "--protocol", protocol, "--restart")
        assert (ran.exit_code, "hunter22" in ran.output) == (code, False)
    assert server.headers[0]["authorization"] == "Basic YW5uOmh1bnRlcjIy"


@pytest.fixture(params=["http/json", "grpc"])
def receiving_server(request):
    with (otlp_grpc if request.param == "grpc" else otlp_http)() as running:
        yield running, request.param


@pytest.mark.parametrize(
    "address",
    [
        *(
            "http://ann:hunter22@127.0.0.1:9",
            "http://127.0.0.1:9/hunter22?token=hunter22",
            "ann:hunter22@host",
        ),
        *("http://ann:hunter22@host:port", "http://ann:hunter/22@127.0.0.1:9", "ftp://ann:hunter22@host"),
        *("http://ann:hunter22@\x7f:9", "http://ann:hunter22@[::1", "https://ann:hunter22@127.0.0.1:9"),
    ],
)
def test_no_error_about_an_address_has_its_password(file, address, monkeypatch, caplog):
    monkeypatch.setattr("otel_callbacks.limits.REPLAY_WAIT_SECONDS", 0.0)
    ran = replay(file, "--to", address)
    assert ran.exit_code in (1, 2) and ran.stderr.startswith(("Error: ", "Usage: "))
    assert "hunter" not in ran.output + caplog.text


def test_a_wrong_header_is_not_printed(file):
    ran = replay(file, "--to", "http://x", "--header", "Authorization: Bearer hunter22")
    assert (ran.exit_code, "a header is not NAME=VALUE" in ran.stderr, "hunter22" in ran.output) == (
        2,
        True,
        False,
    )


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ("http://elsewhere.example:4318", False),
        ("https://127.0.0.1:4318", False),  # the same host, but not encrypted
        ("not an address", False),
        ("http://127.0.0.1:1", True),
        ("", True),
    ],
)
def test_the_headers_of_the_environment_go_to_its_own_host_only(file, server, configured, sent, variable):
    environment = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=hunter22", variable: configured}
    ran = replay(file, "--to", server.url, "--header", "x-own=1", **environment)
    assert ran.exit_code == 0
    assert ("x-key" in server.headers[0], server.headers[0]["x-own"]) == (sent, "1")
    assert ("is not sent" in ran.stderr, "hunter22" in ran.output) == (not sent, False)


def test_a_password_in_netrc_replaces_no_header(file, server, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password hunter22\n")
    ran = replay(file, "--to", server.url, "--header", "Authorization=mine", NETRC=str(tmp_path / ".netrc"))
    assert (ran.exit_code, server.headers[0]["authorization"]) == (0, "mine")


@pytest.mark.parametrize(
    "asked", ["99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "nonsense", "-1", ""]
)
def test_an_endpoint_cannot_make_a_replay_wait_for_long(file, server, asked, monkeypatch):
    monkeypatch.setattr("otel_callbacks.limits.REPLAY_WAIT_SECONDS", 0.01)
    server.answers, server.answer_headers = [(503, b"")] * 3, {"Retry-After": asked}
    started = time.monotonic()
    assert replay(file, "--to", server.url).exit_code == 0
    assert time.monotonic() - started < 5


def test_an_endpoint_that_never_stops_answering_is_not_read_to_its_end(file, server):
    server.answers = [(400, b"x" * 50_000_000)]
    tracemalloc.start()
    ran = replay(file, "--to", server.url, "--protocol", "http/json")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "answered 400" in ran.stderr and peak < 10_000_000


def test_profiles_are_added_on_the_way(server, tmp_path):
    path = tmp_path / "t.jsonl"
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(path)))
    provider.get_tracer("otel_callbacks").start_span(
        "chat", attributes={"gen_ai.operation.name": "chat"}
    ).end()
    line = path.read_bytes()
    command = ["replay", str(path), "--to", server.url, "--profile", "mlflow", "--profile", "langfuse"]
    assert CliRunner().invoke(main, command).exit_code == 0
    (span,) = server.spans()
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "mlflow.spanType": "CHAT_MODEL",
        "langfuse.observation.type": "generation",
        "langfuse.observation.usage_details": "{}",
        "langfuse.observation.cost_details": "{}",
    }
    assert path.read_bytes() == line

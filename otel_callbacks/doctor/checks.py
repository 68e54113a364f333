"""The checks, in the order in which a trace meets what they look at."""

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from opentelemetry import _logs, metrics, trace

from otel_callbacks.cost.price_list import prices
from otel_callbacks.doctor.findings import Finding, note, ok, wrong
from otel_callbacks.doctor.probe import why_not
from otel_callbacks.export.destinations import Destination, destinations_of
from otel_callbacks.export.environment import is_sdk_disabled
from otel_callbacks.export.telemetry import Telemetry
from otel_callbacks.limits import SAMPLER_TRIES
from otel_callbacks.manual import step, workflow
from otel_callbacks.recording.exit_sweep import count_recorders
from otel_callbacks.recording.process_recorder import process_recorder

_TEST_TRACE = "otel-callbacks doctor"
_PRICES_SECONDS = 60.0


def check_packages() -> Iterator[Finding]:
    """Checks that a framework is there, and the extras that traces are poorer without."""
    found = [
        text for name in ("langchain-core", "llama-index-core") if (text := _installed(name)) is not None
    ]
    if found:
        yield ok(f"frameworks: {', '.join(found)}")
    else:
        yield wrong(
            "neither LangChain nor LlamaIndex is installed; pip install 'otel-callbacks[langchain]' or"
            " 'otel-callbacks[llama-index]'"
        )
    if find_spec("genai_prices") is None:
        yield wrong(
            "no prices: the extra is missing; pip install 'otel-callbacks[cost]', or give handlers prices="
        )
    elif prices.ready(_PRICES_SECONDS):
        yield ok("prices: the list prices are loaded")
    else:
        yield wrong("no prices: the list prices cannot be loaded; the log says why")


def _installed(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None


def import_application(module: str) -> Finding:
    """Imports the application, which sets up OpenTelemetry and handlers on the way."""
    sys.path.insert(0, "")
    try:
        import_module(module)
    except Exception as error:  # the application's own, which is the finding
        return wrong(
            f"importing {module} raises {type(error).__name__}: {error}; so would the application's start"
        )
    return ok(f"application: {module} is imported")


def check_handlers() -> Finding:
    """Checks that a handler is attached, in an application that has been imported."""
    if process_recorder() is not None or _is_in_llama_index():
        return ok("handler: attached to every call of the process")
    if count_recorders():
        return note(
            "handler: there is one, but attached to nothing yet; pass it in config={'callbacks': [handler]} of every"
            " call, or call instrument(handler)"
        )
    return wrong(
        "handler: none is made when the application is imported; call instrument() at its start, or pass an"
        " OTelCallbackHandler in config={'callbacks': [...]}"
    )


def _is_in_llama_index() -> bool:
    if "llama_index.core" not in sys.modules:
        return False
    from otel_callbacks.llama_index.handler import active_handlers

    return active_handlers.recorder_for(None) is not None


def check_set_up(telemetry: Telemetry) -> Iterator[Finding]:
    """Says where each signal goes, and what had no effect."""
    for line in str(telemetry).splitlines():
        name, _, text = line.partition(": ")
        if name != "without effect":
            yield wrong(line) if line.startswith("traces: nowhere") else ok(line)
        elif text != "none":
            yield wrong(line)


def check_delivery(telemetry: Telemetry, timeout: float) -> Iterator[Finding]:
    """Sends a test trace and says whether it arrived; if not, why."""
    root = _sampled_root()
    provider: Any = trace.get_tracer_provider()
    if not root.get_span_context().is_valid:
        kind = (
            "OTEL_SDK_DISABLED is true"
            if is_sdk_disabled()
            else f"the global provider is {type(provider).__name__}"
        )
        yield wrong(f"nothing is recorded: {kind}")
        return
    if not root.get_span_context().trace_flags.sampled:
        name = provider.sampler.get_description() if hasattr(provider, "sampler") else type(provider).__name__
        yield wrong(
            f"the sampler drops everything ({name}); check OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG"
        )
        return
    with trace.use_span(root, end_on_exit=True), workflow(_TEST_TRACE), step("test"):
        trace_id = trace.format_trace_id(root.get_span_context().trace_id)
    arrived = telemetry.flush(timeout)
    asked = _ask("traces", destinations_of(provider))
    yield from asked
    for signal, other in (("metrics", metrics.get_meter_provider()), ("events", _logs.get_logger_provider())):
        yield from _ask(signal, destinations_of(other) - destinations_of(provider))
    if any(finding.kind == "wrong" for finding in asked):
        return
    if arrived:
        yield ok(f"test trace: {trace_id} was accepted everywhere")
        return
    lost = [each for each in telemetry.stats().destinations if each.failed or each.waiting or each.dropped]
    where = ", ".join(each.destination for each in lost) or "anybody"
    yield wrong(f"test trace: {trace_id} was not accepted by {where} within {timeout:g} s; the log says why")


def _sampled_root() -> trace.Span:
    """Returns a span that the sampler keeps, else the last of very many that it dropped."""
    tracer = trace.get_tracer("otel_callbacks.doctor")
    for _ in range(SAMPLER_TRIES):
        span = tracer.start_span(_TEST_TRACE)
        if span.get_span_context().trace_flags.sampled or not span.get_span_context().is_valid:
            break
    return span


def _ask(signal: str, destinations: set[Destination]) -> Sequence[Finding]:
    """Asks each destination of a signal whether it takes it. Some back ends take traces alone."""
    found = []
    for destination in sorted(destinations, key=lambda each: each.address):
        reason = why_not(destination)
        if reason is None:
            found.append(ok(f"{signal}: {destination.address} accepts them"))
        elif signal == "traces":
            found.append(wrong(f"{signal}: {destination.address} takes none: {reason}"))
        else:
            found.append(note(f"{signal}: {destination.address} takes none: {reason}"))
    return found

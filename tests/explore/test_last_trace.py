"""`handler.last_trace` is the trace of this handler that ended last."""

from pathlib import Path
from typing import Any

import fakes
import llama_fakes
import pytest
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from processes import run_script

import otel_callbacks.langchain
import otel_callbacks.llama_index
from otel_callbacks.explore.index import ring
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.manual import workflow
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED


@pytest.fixture
def kept(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Captured:
    """Telemetry that is kept by a ring of this test alone."""
    monkeypatch.setattr(ring, "_process_ring", None)
    ring.keep_traces(captured.tracer_provider)
    return captured


def ask(handler: Any, text: str = "q") -> None:
    fakes.ScriptedModel().invoke(text, {"callbacks": [handler]})


@pytest.mark.parametrize("kind", [otel_callbacks.langchain.OTelCallbackHandler, OTelCallbackHandler])
def test_a_langchain_call(kind: Any, kept: Captured) -> None:
    handler = kind(**kept.providers)
    ask(handler)
    ask(handler)
    assert (handler.last_trace.trace_id, handler.last_trace.name) == (f"{2:032x}", "chat scripted-1")


@pytest.mark.parametrize("kind", [otel_callbacks.llama_index.OTelCallbackHandler, OTelCallbackHandler])
def test_a_llama_index_call(kind: Any, kept: Captured) -> None:
    handler = kind(**kept.providers)
    Settings.callback_manager = CallbackManager([handler])
    llama_fakes.ScriptedModel().complete("q")
    assert handler.last_trace.name == "chat scripted-1"


def test_the_trace_that_ended_last_counts_and_not_the_one_that_began_last(kept: Captured) -> None:
    handler = OTelCallbackHandler(**kept.providers)
    slow = fakes.ScriptedModel(script=["a b"]).stream("q", {"callbacks": [handler]})
    next(slow)
    ask(handler)
    assert handler.last_trace.trace_id == f"{2:032x}"
    list(slow)
    assert handler.last_trace.trace_id == f"{1:032x}"


def test_the_calls_of_another_handler_do_not_count(kept: Captured) -> None:
    mine, other = OTelCallbackHandler(**kept.providers), OTelCallbackHandler(**kept.providers)
    ask(mine)
    ask(other)
    assert [each.last_trace.trace_id for each in (mine, other)] == [f"{1:032x}", f"{2:032x}"]


def test_a_call_within_an_operation_by_hand(kept: Captured) -> None:
    handler = OTelCallbackHandler(**kept.providers)
    with workflow("w"):
        ask(handler)
    assert handler.last_trace.name == "invoke_workflow w"


def test_a_missing_trace_is_an_error_that_says_why(kept: Captured) -> None:
    handler = OTelCallbackHandler(**kept.providers)
    with pytest.raises(LookupError, match="no call of this handler has ended yet"):
        _ = handler.last_trace
    with capture() as elsewhere:
        stranger = OTelCallbackHandler(**elsewhere.providers)
        ask(stranger)
    with pytest.raises(
        LookupError, match=r"trace 0+1 is not kept here: configure\(local=True\) keeps traces in memory"
    ):
        _ = stranger.last_trace


def test_an_unsampled_trace_does_not_count(kept: Captured) -> None:
    with capture(ALWAYS_OFF) as unsampled:
        handler = OTelCallbackHandler(**unsampled.providers)
        ask(handler)
    with pytest.raises(LookupError, match="no call of this handler has ended yet"):
        _ = handler.last_trace


def test_it_is_there_at_once_from_file_and_memory_and_says_where_spans_go_nowhere(tmp_path: Path) -> None:
    """In a process of its own, because only one provider is ever global."""
    script = f"""
        import logging, sys

        sys.path.insert(0, {str(Path(fakes.__file__).parent)!r})
        import fakes
        from otel_callbacks import OTelCallbackHandler, configure, traces

        warned = []
        logging.getLogger("otel_callbacks").addFilter(lambda record: warned.append(record.getMessage()))

        def last():
            fakes.ScriptedModel().invoke("q", {{"callbacks": [handler]}})
            trace = handler.last_trace
            assert trace.trace_id == traces.last().trace_id
            return trace.name

        handler = OTelCallbackHandler()
        for _ in range(2):
            try:
                last()
            except LookupError as error:
                print(error)
        print([text for text in warned if "no tracer provider" in text])
        configure()
        print(last(), len(traces))
        configure(local=True)  # adds memory; the files' traces stay
        print(last(), len(traces))
        print(traces.sql("SELECT count(*) AS spans, sum(tokens) AS tokens FROM spans"))
        print({{span.resource["service.name"] for trace in traces for span in trace.spans}})
    """
    nowhere = "spans go nowhere, because no tracer provider is set: call configure() before the first call\n"
    assert run_script(script, tmp_path) == (
        f"{nowhere}{nowhere}['calls are traced, but their spans go nowhere: no tracer provider is set. Call"
        " otel_callbacks.configure(), or set one with OpenTelemetry, before the first call']\n"
        "chat scripted-1 1\nchat scripted-1 2\n[{'spans': 2, 'tokens': 240}]\n{'unknown_service:python'}\n"
    )

"""LlamaIndex captures the context where a workflow is called and restores it where it runs, for durable runtimes."""

import asyncio
import json
from contextvars import Context
from typing import Any

import pytest
from llama_fakes import IGNORED, ScriptedModel, untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import instrument_tags

from otel_callbacks import OTelCallbackHandler, attribution, content, workflow
from otel_callbacks.testing import Captured, capture

pytestmark = IGNORED


class Answers(Workflow):
    """Asks a model."""

    @step
    async def answer(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=str(await ScriptedModel().acomplete("q")))


@pytest.fixture
def durable(captured: Captured, untouched_settings: None) -> Any:  # noqa: F811
    """What a durable runtime stores of a call, in a database, and what it gives to the workflow that it starts."""
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    return lambda: json.loads(json.dumps(get_dispatcher().capture_propagation_context()))


async def restored(stored: Any) -> None:
    get_dispatcher().restore_propagation_context(stored)
    await Answers().run()


async def test_a_workflow_that_runs_in_another_process_hangs_below_its_caller(
    captured: Captured, durable: Any
) -> None:
    with (
        attribution(tenant="acme"),
        content("none"),
        instrument_tags({"feature": "search"}),
        workflow("caller"),
    ):
        stored = durable()
    caller = captured.span("invoke_workflow caller").context
    with capture() as other:  # another process, which knows no run of the first
        handler = OTelCallbackHandler(**other.providers, content="spans")
        Settings.callback_manager = CallbackManager([handler])
        await asyncio.create_task(restored(stored), context=Context())
        names = [span.name for span in other.spans]
        assert names == ["invoke_workflow Answers", "answer", "chat scripted-1"]
        root = other.span("invoke_workflow Answers")
        assert (root.parent.trace_id, root.parent.span_id) == (caller.trace_id, caller.span_id)
        for span in other.spans:
            labels = span.attributes["app.tenant_id"], span.attributes["app.feature"]
            assert labels == ("acme", "search")
            assert "gen_ai.output.messages" not in span.attributes


async def test_labels_and_content_off_hold_without_a_trace_as_well(captured: Captured, durable: Any) -> None:
    with attribution(tenant="acme"), content("none"):
        stored = durable()
    await asyncio.create_task(restored(stored), context=Context())
    assert {span.attributes["app.tenant_id"] for span in captured.spans} == {"acme"}
    captured.clear()
    stored["otel_callbacks"]["labels"] = {}
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, content="spans")])
    await asyncio.create_task(restored(stored), context=Context())
    assert not [span for span in captured.spans if "gen_ai.output.messages" in span.attributes]


async def test_in_the_same_process_totals_go_up_as_before(captured: Captured, durable: Any) -> None:
    with workflow("caller"):
        await Answers().run()
    assert captured.tree().startswith("invoke_workflow caller\n  invoke_workflow Answers\n    answer\n")
    assert captured.span("invoke_workflow caller").attributes["otel_callbacks.rollup.total_tokens"] == 120


async def test_a_context_without_a_trace_restores_to_none(captured: Captured, durable: Any) -> None:
    stored = durable()
    await asyncio.create_task(restored(stored), context=Context())
    await asyncio.create_task(restored({}), context=Context())
    assert [span.parent for span in captured.spans if span.name.startswith("invoke")] == [None, None]

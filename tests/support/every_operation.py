"""One trace with a span of every kind: a RAG answer by an agent with a sub-agent, with content and costs."""

from collections.abc import Callable
from typing import Any

from otel_callbacks import agent, attribution, embedding, inference, rerank, retrieval, step, tool, workflow
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder
from otel_callbacks.testing import Captured

PRICES = {
    "prices": {
        "gpt-x": {"input": 2, "output": 10, "cache_read": 1, "cache_write": 4},
        "embed-x": {"input": 1},
    }
}
LABELS = {"tenant": "acme", "feature": "search", "user": "u-7", "session": "s-1"}
NAMES = (
    *(
        "invoke_workflow answer",
        "invoke_agent lead",
        "invoke_agent helper",
        "chat gpt-x",
        "execute_tool look_up",
    ),
    *("retrieval docs", "embeddings embed-x", "rerank rank-x", "prepare"),
)


def with_options(captured: Captured, call: Callable[[], object], **options: Any) -> None:
    """Calls a function while manual operations are recorded with these options of a handler."""
    by_hand = recorder(**{**captured.providers, "prices": PRICES, "content": "spans", **options})
    set_process_recorder(with_options, lambda: by_hand)
    try:
        call()
    finally:
        set_process_recorder(with_options, None)


def answer() -> None:
    """Does one of every operation; each agent calls the model once, with 100 input and 20 output tokens."""
    with attribution(**LABELS), workflow("answer") as whole:
        whole.messages(input="Where is it?", output="In Paris.")
        with step("prepare"):
            pass
        with agent("lead", system_instructions="Be brief.") as lead:
            lead.messages(input="Where is it?", output="In Paris.")
            _look_up(place="Paris")
            with agent("helper"):
                _ask()
            _search()
            _ask()


@tool("look_up")
def _look_up(place: str) -> str:
    return f"{place} found"


def _ask() -> None:
    with inference("gpt-x", provider="openai", response_model="gpt-x-1") as call:
        asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is it?"}]
        call.messages(input=asked, output="In Paris.")
        call.usage(
            input_tokens=100,
            output_tokens=20,
            cache_read_input_tokens=40,
            cache_write_input_tokens=10,
            reasoning_output_tokens=5,
        )


def _search() -> None:
    with retrieval("docs", top_k=2, query="Where?") as found:
        with embedding("embed-x", provider="openai") as embedded:
            embedded.usage(input_tokens=8)
        found.documents(
            [{"id": "a", "content": "Paris is here."}, {"id": "b", "content": "Rome.", "score": 0.5}]
        )
    with rerank("rank-x", provider="cohere", query="Where?") as ranked:
        ranked.candidates([{"id": "a", "content": "Paris is here."}, {"id": "b", "content": "Rome."}])
        ranked.documents([{"id": "b", "content": "Rome.", "score": 0.9}])

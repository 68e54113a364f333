"""One inference for each call, beside the real instrumentations of OpenAI's and Anthropic's clients.

They run in environments of their own, which `environments.py` makes; the server counts the tokens.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from environments import python

pytestmark = pytest.mark.services
HERE = Path(__file__).parent
OURS, HTTP = "otel_callbacks", "opentelemetry.instrumentation.httpx"
ASKS_NOBODY = "opentelemetry.instrumentation.openai_v2"
INSTRUMENTORS = [
    ("wrapt1", "openai", ASKS_NOBODY),
    ("wrapt1", "openai", "opentelemetry.instrumentation.openai"),
    ("wrapt1", "anthropic", "opentelemetry.instrumentation.anthropic"),
    ("wrapt2", "openai", "opentelemetry.instrumentation.genai.openai"),
    ("wrapt2", "anthropic", "opentelemetry.instrumentation.genai.anthropic"),
    ("wrapt2", "openai", "openinference.instrumentation.openai"),
    ("wrapt2", "anthropic", "openinference.instrumentation.anthropic"),
]
OPENLLMETRY_ANTHROPIC = "opentelemetry.instrumentation.anthropic"
CASES = [
    (*instrumentor, framework, mode)
    for instrumentor in INSTRUMENTORS
    for framework in ("langchain", "llama_index")
    for mode in ("own", "defer")
    # unless it is silent, this one breaks LangChain's calls by itself: raw responses have no `usage`
    if (instrumentor[2], framework, mode) != ("openinference.instrumentation.anthropic", "langchain", "defer")
]


def called(environment: str, *arguments: str) -> Any:
    ran = subprocess.run(
        (python(environment), HERE / "calls.py", *arguments), capture_output=True, text=True, timeout=180
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def by_scope(spans: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Our spans, those of HTTP clients, and all others."""
    others = [span for span in spans if span["scope"] not in (OURS, HTTP)]
    return *([span for span in spans if span["scope"] == scope] for scope in (OURS, HTTP)), others  # type: ignore[return-value]


@pytest.mark.parametrize(("environment", "provider", "instrumentor", "framework", "mode"), CASES)
def test_the_usage_of_all_spans_is_what_the_server_counted(
    environment: str, provider: str, instrumentor: str, framework: str, mode: str
) -> None:
    """Synchronous, asynchronous, streamed and both."""
    found = called(environment, framework, provider, instrumentor, mode)
    spans = found["spans"]
    ours, http, theirs = by_scope(spans)
    assert (found["calls"], len(ours)) == (4, 4)
    if (instrumentor, mode) != (
        OPENLLMETRY_ANTHROPIC,
        "defer",
    ):  # it misses tokens of streams, or counts one twice
        assert sum(span["input"] for span in spans) == found["input_tokens"]
        assert sum(span["output"] for span in spans) == found["output_tokens"]
    assert sum(span["total"] for span in ours) == found["input_tokens"] + found["output_tokens"]
    is_theirs = mode == "defer" or instrumentor == ASKS_NOBODY
    assert len(theirs) == (4 if is_theirs else 0)
    assert [span["input"] > 0 for span in ours] == [not is_theirs] * 4
    assert {span["parent"] for span in theirs} <= {OURS}
    assert len(http) >= 4
    assert {span["parent"] for span in http} <= {OURS, *(span["scope"] for span in theirs)}


@pytest.mark.parametrize(
    "instrumentor",
    ["opentelemetry.instrumentation.genai.anthropic", "openinference.instrumentation.anthropic"],
)
def test_a_client_that_makes_spans_by_itself_has_the_usage(instrumentor: str) -> None:
    """Anthropic's does, of late. The instrumentations beside it stay silent."""
    found = called("anthropic2", "langchain", "anthropic", instrumentor, "own")
    ours, _, theirs = by_scope(found["spans"])
    assert [span["scope"] for span in theirs] == ["com.anthropic.sdk.python"] * 4
    assert [span["input"] for span in ours] == [0] * 4
    assert sum(span["input"] for span in theirs) == found["input_tokens"]
    assert sum(span["output"] for span in theirs) == found["output_tokens"]
    assert sum(span["total"] for span in ours) == found["input_tokens"] + found["output_tokens"]

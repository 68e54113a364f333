"""With the default profile alone, only model calls look like model calls to the rules of four back ends.

The rules are those of their sources: MLflow 3.17 (mlflow/tracing/otel/translation: a type for the operation, else a
model makes an LLM), Langfuse (packages/shared/src/server/otel/ObservationTypeMapper.ts, priorities 3, 7 and 10),
OpenLIT (src/client/src/constants/traces.ts: the model is `gen_ai.request.model`) and SigNoz
(pkg/statementbuilder/aistatementbuilder: `llm_call_count` counts the spans that have `gen_ai.request.model`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from every_operation import answer, with_options

from otel_callbacks.testing import Captured

Attributes = Mapping[str, Any]
CALLS = {"chat gpt-x", "embeddings embed-x"}


def in_mlflow(attributes: Attributes) -> bool:
    kinds = {"chat": True, "text_completion": True, "generate_content": True, "embeddings": True}
    kinds |= dict.fromkeys(("create_agent", "execute_tool", "invoke_agent"), False)
    known = kinds.get(attributes.get("gen_ai.operation.name", ""))
    return (
        known if known is not None else has_model(attributes, "gen_ai.response.model", "gen_ai.request.model")
    )


def in_langfuse(attributes: Attributes) -> bool:
    operation = attributes.get("gen_ai.operation.name")
    if operation in ("chat", "completion", "text_completion", "generate_content", "generate", "embeddings"):
        return True
    if operation in ("invoke_agent", "create_agent", "execute_tool") or "gen_ai.tool.name" in attributes:
        return False
    models = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "model")
    return has_model(attributes, *models)


def in_openlit_and_signoz(attributes: Attributes) -> bool:
    return has_model(attributes, "gen_ai.request.model")


def has_model(attributes: Attributes, *names: str) -> bool:
    return any(attributes.get(name) for name in names)


@pytest.mark.parametrize("rule", [in_mlflow, in_langfuse, in_openlit_and_signoz])
def test_only_model_calls_look_like_model_calls(
    rule: Callable[[Attributes], bool], captured: Captured
) -> None:
    with_options(captured, answer)
    assert {span.name for span in captured.spans if rule(span.attributes or {})} == CALLS


def test_their_sums_are_right_without_the_usage_of_agents(captured: Captured) -> None:
    """OpenLIT and SigNoz add up every span; `agent_usage=False` is for them."""
    with_options(captured, answer, agent_usage=False)
    used = sum((span.attributes or {}).get("gen_ai.usage.input_tokens", 0) for span in captured.spans)
    root = captured.span("invoke_workflow answer").attributes or {}
    assert used == root["otel_callbacks.rollup.input_tokens"] == 208

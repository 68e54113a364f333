"""An answer is read by the steps that its keys call for. Reading it by every step says the same, whatever is in it."""

from random import Random
from typing import Any

import pytest
from hostile import Failing, FailingDict, FailingList, FailingText, Lying
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_callbacks.operations import Billing, Inference, Usage
from otel_callbacks.operations.providers import answers, billing, read_answer

KEYS = sorted(
    {
        *billing.REPORTED,
        *("cost", "cost_in_usd_ticks", "cost_details", "iterations", "context_management"),
        *("usage", "token_usage", "choices", "candidates", "billed_units", "prompt_eval_count", "tokens"),
        *answers._MODEL_KEYS,
        *answers._ID_KEYS,
        *("finish_reason", "stop_reason", "object", "status", "incomplete_details", "system_fingerprint"),
        *("response", "message", "meta", "metadata", "output_token_details", "logprobs"),
    }
)
ODD_KEYS: list[Any] = [7, None, ("a",), FailingText("id"), Lying()]
PROVIDERS = [None, "openai", "anthropic", "cohere", "perplexity", "aws.bedrock", "gcp.gemini", "x_ai", "acme"]
HOSTS = [None, "api.openai.com", "api.x.ai", "openrouter.ai", "llm.acme.example"]

SCALARS: list[Any] = [
    *(None, "", "stop", "stopstop", "gpt-4o", "response", "compaction", "flex", "resp_1", "0.25", "\ud800"),
    *(0, 1, 900, -1, True, 2.5, float("nan"), 10**20, Failing(), Lying(), FailingText("a")),
]


def value(draw: Random, depth: int = 0) -> Any:
    kind = draw.choice(["scalar", "scalar", "list", "dict", "dict"] if depth < 3 else ["scalar"])
    if kind == "scalar":
        return draw.choice(SCALARS)
    if kind == "list":
        return draw.choice([list, FailingList])(value(draw, depth + 1) for _ in range(draw.randrange(3)))
    return draw.choice([dict, dict, FailingDict])(payload(draw, depth + 1))


def payload(draw: Random, depth: int = 0) -> dict[Any, Any]:
    keys = draw.sample([*KEYS, *ODD_KEYS], draw.randrange(7))
    return {key: value(draw, depth) for key in keys}


def counts(draw: Random) -> dict[str, Any]:
    sent, received = draw.randrange(9), draw.randrange(9)
    said: dict[str, Any] = {"input_tokens": sent, "output_tokens": received}
    if draw.random() < 0.7:
        said["total_tokens"] = sent + received
    if draw.random() < 0.3:
        said["output_token_details"] = payload(draw)
    return said


class Everything(frozenset[str]):
    """Says that every word is there."""

    def intersection(self, *others: Any) -> frozenset[str]:  # type: ignore[override]
        return answers._RARE | answers.REPORTING

    def __contains__(self, word: object) -> bool:
        return True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_every_step_says_the_same(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    draw = Random(seed)
    provider, host, streamed = draw.choice(PROVIDERS), draw.choice(HOSTS), draw.random() < 0.4
    found, more = ([payload(draw) for _ in range(draw.randrange(3))] for _ in range(2))
    normal = draw.choice([None, counts(draw)])
    blocks = [{"type": draw.choice(["web_search_call", "compaction"])} for _ in range(draw.randrange(2))]

    def read() -> Inference:
        operation = Inference(name="sonar", provider=provider, server_address=host)
        if streamed:
            operation.usage, operation.billing = Usage(input_tokens=1), Billing(service_tier="flex")
        read_answer(operation, found, more, normal=normal, blocks=blocks, streamed=streamed)
        return operation

    by_keys = read()
    with monkeypatch.context() as patch:
        for table in ("_RARE", "_TELLING", "_COUNTS_LESS", "WITH_RULES"):
            patch.setattr(answers, table, Everything(getattr(answers, table)))
        by_every_step = read()
    assert by_keys == by_every_step

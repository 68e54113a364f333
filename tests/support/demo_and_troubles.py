"""The demo's jobs twice, and an application in which everything goes wrong: every series that a dashboard shows.

    python demo_and_troubles.py http://127.0.0.1:4318

sends metrics there after each round, so that every counter has grown in between. With `--rounds N` it does more rounds.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import cycle

from otel_callbacks import (
    BackEnd,
    Budget,
    agent,
    attribution,
    configure,
    inference,
    record_cost,
    rerank,
    retrieval,
    step,
    tool,
    workflow,
)
from otel_callbacks.demo.command import FRAMEWORKS, TENANTS
from otel_callbacks.demo.corpus import load
from otel_callbacks.demo.endpoint import Endpoint
from otel_callbacks.demo.server import LocalModelServer
from otel_callbacks.export.telemetry import Telemetry
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder

DOCS = 200
PRICES = {"prices": {"gpt-x": {"input": 2, "output": 10, "cache_read": 1}}}
FOUND = [{"id": "a", "content": "Paris is the capital of France.", "score": 0.7}]


def main(address: str, rounds: int) -> None:
    telemetry = configure("shop", to=BackEnd(address, "http/protobuf", signals=["traces", "metrics"]))
    with ExitStack() as stack:
        endpoint = Endpoint.from_environment(None, stack.enter_context(LocalModelServer()))
        jobs = [stack.enter_context(of(endpoint, load(), DOCS)) for _, of in FRAMEWORKS.values()]
        for _ in range(rounds):
            for each in jobs:
                for (name, job), tenant in zip(each.items(), cycle(TENANTS), strict=False):
                    with attribution(tenant=tenant, feature=name):
                        job()
            trouble(telemetry)
            assert telemetry.flush(60)
    telemetry.shutdown(60)


def trouble(telemetry: Telemetry) -> None:
    """Does what the demo never does: failures of every kind, a loop, an empty retrieval, a spent budget."""
    budgets = [Budget(tenant="acme", usd=0.001, per="hour")]
    by_hand = recorder(prices=PRICES, budgets=budgets)
    set_process_recorder(trouble, lambda: by_hand)
    with attribution(tenant="acme", feature="search"):
        for failing in (_model, _tool, _retrieval, _reranker, _agent):
            with suppress(OSError), workflow("answer"):
                failing()
        with suppress(asyncio.CancelledError), workflow("answer"), step("wait"):
            raise asyncio.CancelledError
        with workflow("answer"), step("look up"):
            _answer([])
            _answer(FOUND)
        with agent("circler"):
            for _ in range(20):
                _ask("again")
    set_process_recorder(trouble, None)


def _ask(prompt: str) -> None:
    with inference("gpt-x", provider="openai") as call:
        call.messages(input=prompt, output="Paris [1].")
        call.usage(input_tokens=100, output_tokens=20, cache_read_input_tokens=40)


def _answer(documents: Sequence[dict[str, object]]) -> None:
    with retrieval("docs", query="Where?") as found:
        found.documents(documents)
    with rerank("rank-x", provider="cohere", query="Where?") as ranked:
        ranked.candidates(documents)
        ranked.documents(documents)
    _ask(f"Where? {[each['content'] for each in documents]}")
    with tool("maps"):
        record_cost(usd="0.01", what="maps")


def _model() -> None:
    with inference("gpt-x", provider="openai"):
        raise ConnectionError("refused")


def _tool() -> None:
    with tool("send mail"):
        raise TimeoutError("too slow")


def _retrieval() -> None:
    with retrieval("docs", query="Where?"):
        raise ConnectionError("no index")


def _reranker() -> None:
    with rerank("rank-x", provider="cohere", query="Where?"):
        raise ConnectionError("refused")


def _agent() -> None:
    with agent("lead"):
        raise TimeoutError("too slow")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 2)

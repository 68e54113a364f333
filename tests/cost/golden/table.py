"""What a row of the golden table is, and what is compared when its call has been made."""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from math import isclose
from typing import Any

import pytest
from clients import CLIENTS
from opentelemetry.sdk.trace import ReadableSpan
from wire import Answer, Wire

from otel_callbacks import PriceBook
from otel_callbacks.testing import Captured

USAGE = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_write.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "audio_input": "gen_ai.usage.audio.input_tokens",
    "audio_output": "gen_ai.usage.audio.output_tokens",
}
DETAILS = {
    f"{modality}_{short}": f"gen_ai.usage.{modality}.{name}_tokens"
    for modality in ("text", "image", "audio")
    for short, name in (("input", "input"), ("output", "output"), ("cache_read", "cache_read.input"))
}
"""Parts by modality, compared only where a row names them."""
CALLS = ("chat", "text_completion", "generate_content", "embeddings", "rerank")
KNOWN_OR_SAID = ("priced", "partial", "unpriced")
"""What of a call the integration lets through may not decide its price. Then either the exact price is found some
other way or the span says that it is not known; a wrong one is what must not be."""
NOT_CHECKED = "*"


def money(arithmetic: str) -> Decimal:
    """The exact value of a worked-out cost: numbers, `+`, `-`, `*`, `/` and parentheses."""

    def value(node: ast.AST) -> Decimal:
        match node:
            case ast.Constant():
                return Decimal(ast.get_source_segment(arithmetic, node) or "")
            case ast.BinOp(left, ast.Add(), right):
                return value(left) + value(right)
            case ast.BinOp(left, ast.Sub(), right):
                return value(left) - value(right)
            case ast.BinOp(left, ast.Mult(), right):
                return value(left) * value(right)
            case ast.BinOp(left, ast.Div(), right):
                return value(left) / value(right)
        raise ValueError(f"no arithmetic: {arithmetic}")

    with localcontext(prec=60):
        return value(ast.parse(arithmetic, mode="eval").body)


@dataclass(frozen=True)
class Expect:
    """What the span of one model call has to say.

    Attributes:
        status: `otel_callbacks.cost.status`, or those it may be; None: the call owes nothing and is not asked for a
            price (it failed, or reached no provider).
        cost: the worked-out cost. A `partial` one may be lower; then `reason` says what is missing.
        reason: a word that `unpriced_reason` has to hold; None is not checked.
        usage: by the short names of `USAGE`; those left out must not be reported, a tuple lists what is accepted.
        finish: the provider's words, one per choice, separated by commas; `|` between accepted ones; None: nobody
            said, so the span must not either.
    """

    status: str | Sequence[str | None] | None = "priced"
    cost: str | None = None
    reason: str | None = None
    usage: Mapping[str, Any] | None = None
    finish: str | None = NOT_CHECKED

    def differences(self, span: ReadableSpan) -> Iterator[str]:
        """Where the span says something else."""
        said = dict(span.attributes or {})
        yield from self._usage(said)
        status, reason = (
            said.get("otel_callbacks.cost.status"),
            said.get("otel_callbacks.cost.unpriced_reason"),
        )
        accepted = [self.status] if self.status is None or isinstance(self.status, str) else self.status
        if status not in accepted and not (self.status is None and status not in ("unpriced", "partial")):
            yield f"status {status} ({reason}), not {' or '.join(map(str, accepted))}"
        if self.reason and status in ("unpriced", "partial") and not _mentions(reason, self.reason):
            yield f"reason {reason}, not {self.reason}"
        yield from self._cost(said.get("gen_ai.usage.cost_usd"), status)
        yield from self._finish(said.get("gen_ai.response.finish_reasons"))

    def _usage(self, said: Mapping[str, Any]) -> Iterator[str]:
        if self.usage is None:
            return
        for short, name in USAGE.items():
            wanted = self.usage.get(short)
            if said.get(name) not in (wanted if isinstance(wanted, tuple) else (wanted,)):
                yield f"{short} {said.get(name)}, not {wanted}"
        for short in DETAILS.keys() & self.usage.keys() - USAGE.keys():
            if (found := said.get(DETAILS[short])) != self.usage[short]:
                yield f"{short} {found}, not {self.usage[short]}"

    def _cost(self, cost: Any, status: Any) -> Iterator[str]:
        if status in ("priced", "reported", "cached") or (status == "partial" and self.status == "partial"):
            owed = float(money(self.cost or "0"))
            if cost != owed and not (self.status is None and not cost):
                yield f"cost {cost}, not {owed} = {self.cost}"
        elif status == "partial" and self.cost and (cost or 0) > float(money(self.cost)):
            yield f"partial cost {cost} above {self.cost}"
        elif status in ("unpriced", None) and cost is not None:
            yield f"cost {cost} although {status}"

    def _finish(self, said: Any) -> Iterator[str]:
        if self.finish == NOT_CHECKED:
            return
        joined = ",".join(said or ())
        if joined not in (self.finish or "").split("|"):
            yield f"finish {joined or None}, not {self.finish}"


def _mentions(reason: Any, wanted: str) -> bool:
    return any(word in str(reason) for word in wanted.split("|"))


@dataclass(frozen=True)
class Row:
    """A call: who answers what, at which prices, and what is to be said of it."""

    name: str
    client: str
    mode: str
    model: str | None
    answer: Answer
    prices: Mapping[str, Any]
    expect: Sequence[Expect]
    options: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    do: Callable[..., Any] | None = None
    listed: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        return f"{self.name} | {self.client} {self.mode}"

    def check(self, wire: Wire, captured: Captured) -> None:
        """Makes the call and fails with everything that is not as it should be."""
        if self.listed is not None:
            still_listed(**self.listed)
        wire.answer = self.answer
        handler = handler_of(self, captured)
        (self.do or call)(make(self, handler), self, handler)
        spans = [
            span for span in captured.spans if (span.attributes or {}).get("gen_ai.operation.name") in CALLS
        ]
        least = sum(expected.status is not None for expected in self.expect)
        several = least <= len(spans) <= len(self.expect)  # what owes nothing need not have a span
        wrong = [] if several else [f"{len(spans)} calls, not {len(self.expect)}"]
        for number, (expected, span) in enumerate(zip(self.expect, spans, strict=False), 1):
            which = f"call {number}: " if len(self.expect) > 1 else ""
            wrong += [which + difference for difference in expected.differences(span)]
        wrong += metrics_differ(captured, spans)
        if wrong:
            pytest.fail("\n".join([self.id, *wrong]), pytrace=False)


def metrics_differ(captured: Captured, spans: Sequence[ReadableSpan]) -> Iterator[str]:
    """The counters say what the spans say."""
    points = captured.metrics()
    money_counted = sum(point.value for point in points.get("gen_ai.cost.usd", ()))
    money_said = sum((span.attributes or {}).get("gen_ai.usage.cost_usd", 0) for span in spans)
    if not isclose(money_counted, money_said, rel_tol=1e-12):
        yield f"gen_ai.cost.usd {money_counted}, but the spans say {money_said}"
    unpriced = sum(point.value for point in points.get("otel_callbacks.cost.unpriced", ()))
    statuses = [(span.attributes or {}).get("otel_callbacks.cost.status") for span in spans]
    said = statuses.count("unpriced") + statuses.count("partial")
    if unpriced != said:
        yield f"otel_callbacks.cost.unpriced {unpriced}, but {said} spans are"


def calls(
    name: str,
    clients: str,
    modes: str,
    *,
    model: str | None,
    answer: Answer,
    prices: Mapping[str, Any] | None = None,
    expect: Expect | Sequence[Expect] | None = None,
    options: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    do: Callable[..., Any] | None = None,
    listed: Mapping[str, Any] | None = None,
    **expected: Any,
) -> list[Row]:
    """A row for each client and mode; `expected` are the fields of the one `Expect` if there is one."""
    wanted = Expect(**expected) if expect is None else expect
    each = (wanted,) if isinstance(wanted, Expect) else tuple(wanted)
    return [
        Row(name, client, mode, model, answer, prices or {}, each, options or {}, arguments or {}, do, listed)
        for client in clients.split()
        for mode in modes.split()
    ]


def varied(rows: Sequence[Row], **changes: Any) -> list[Row]:
    """The same rows with other expectations or prices."""
    return [replace(row, **changes) for row in rows]


def used(input: Any = None, output: Any = None, **more: Any) -> dict[str, Any]:
    """Usage as the span has to tell it; input includes the cache, output the reasoning."""
    return {"input": input, "output": output, **more}


def book(model: str, *others: Mapping[str, Any], **rates: Any) -> dict[str, Any]:
    """A price book: the model's rates in USD per million tokens, and more entries (`at_tier`)."""
    entries = [{"model": model, **rates}] if rates else []
    return {"prices": [*entries, *({"model": model, **other} for other in others)]}


def at_tier(tier: str, **rates: Any) -> dict[str, Any]:
    return {"service_tier": tier, **rates}


def still_listed(provider: str, model: str, **rates: str) -> None:
    """Whether the list prices are still those that the row's arithmetic was worked out with."""
    from genai_prices.data import providers

    (known,) = (each for each in providers if each.id == provider)
    found = known.find_model(model, all_providers=providers)
    assert found is not None, f"{model} is not in the list any more"
    prices = found.prices[-1].prices if isinstance(found.prices, list) else found.prices
    assert {key: str(getattr(prices, key)) for key in rates} == rates, (
        "the list has other prices now: work it out anew"
    )


# --- making the call -----------------------------------------------------------------------------------------------


def make(row: Row, handler: Any) -> Any:
    """The model; LlamaIndex's knows who traces it."""
    client = CLIENTS[row.client]
    asks = row.mode.endswith("stream") and not row.arguments.get("bare")
    model = client.make(row.model, **{**row.options, **(client.stream_options if asks else {})})
    if client.framework == "llama_index":
        from llama_index.core.callbacks import CallbackManager

        model.callback_manager = CallbackManager([handler])
    return model


def handler_of(row: Row, captured: Captured, **options: Any) -> Any:
    """The handler of the row's framework, at the row's prices."""
    prices = PriceBook.of(row.prices) if row.prices else None
    if CLIENTS[row.client].framework == "langchain":
        from otel_callbacks.langchain import OTelCallbackHandler as OfLangChain

        return OfLangChain(prices=prices, **captured.providers, **options)
    from otel_callbacks.llama_index import OTelCallbackHandler as OfLlamaIndex

    return OfLlamaIndex(prices=prices, **captured.providers, **options)


def given(row: Row) -> dict[str, Any]:
    """The arguments of the row's call."""
    client = CLIENTS[row.client]
    arguments = {key: value for key, value in row.arguments.items() if key not in ("bare", "prompt")}
    if row.mode.endswith("stream") and not row.arguments.get("bare"):
        arguments = {**client.stream_arguments, **arguments}
    return arguments


def call(model: Any, row: Row, handler: Any) -> None:
    """One call in the row's mode, read to its end."""
    import asyncio

    prompt = row.arguments.get("prompt", "what is 2 + 2?")
    if CLIENTS[row.client].framework == "langchain":
        started = getattr(model, row.mode)(prompt, {"callbacks": [handler]}, **given(row))
    else:
        started = getattr(model, METHODS[row.mode, CLIENTS[row.client].completes])(
            _messages(row, prompt), **given(row)
        )
    if row.mode.startswith("a"):
        asyncio.run(_read(started))
    elif row.mode == "stream":
        for _ in started:
            pass


async def _read(started: Any) -> None:
    if not hasattr(started, "__aiter__"):
        started = await started
    if hasattr(started, "__aiter__"):
        async for _ in started:
            pass


def _messages(row: Row, prompt: Any) -> Any:
    from llama_index.core.llms import ChatMessage

    if CLIENTS[row.client].completes or not isinstance(prompt, str):
        return prompt
    return [ChatMessage(prompt)]


METHODS = {
    ("invoke", False): "chat",
    ("stream", False): "stream_chat",
    ("ainvoke", False): "achat",
    ("astream", False): "astream_chat",
    ("invoke", True): "complete",
    ("stream", True): "stream_complete",
    ("ainvoke", True): "acomplete",
    ("astream", True): "astream_complete",
}

"""What users write, for type checkers; a line that must be an error has an ignore, which must not be unused."""

from collections.abc import Iterator

from langchain_core.runnables import RunnableLambda
from llama_index.core.callbacks import CallbackManager

import otel_callbacks.langchain
import otel_callbacks.llama_index
from otel_callbacks import (
    Budget,
    ContentPolicy,
    Keep,
    OTelCallbackHandler,
    PriceBook,
    agent,
    attribution,
    configure,
    inference,
    instrument,
    record_feedback,
    record_usage,
    retrieval,
    tool,
    traces,
    uninstrument,
)

telemetry = configure(
    "my-rag", endpoints="http://localhost:4318", keep=Keep(errors=True, ratio=0.1), local=True
)
configure(endpoint="http://localhost:4318")  # type: ignore[call-arg]
exported: int = telemetry.stats().exported

handler = OTelCallbackHandler(
    content="spans",
    detail="operations",
    prices=PriceBook.load("prices.toml"),
    budgets=[Budget(tenant="acme", usd=5)],
    attribution={"feature": "search"},
)
OTelCallbackHandler(content=ContentPolicy("both", redact=["emails"]))
OTelCallbackHandler(contnet="spans")  # type: ignore[call-arg]
OTelCallbackHandler(content="span")  # type: ignore[arg-type]
OTelCallbackHandler(detail="all")  # type: ignore[arg-type]
otel_callbacks.langchain.OTelCallbackHandler(contnet="spans")  # type: ignore[call-arg]
otel_callbacks.llama_index.OTelCallbackHandler(content="span")  # type: ignore[arg-type]

instrument(embeddings=True, content="spans")
instrument(contnet="spans")  # type: ignore[call-arg]
otel_callbacks.langchain.instrument(detail="all")  # type: ignore[arg-type]
uninstrument()


def shout(text: str) -> str:
    return text.upper()


chain = RunnableLambda(shout)
answer: str = chain.invoke("q", {"callbacks": [handler]})
manager = CallbackManager([handler])


@tool
def add(a: int, b: int) -> int:
    return a + b


@retrieval("docs", top_k=5)
def search(query: str) -> list[str]:
    return [query]


@agent(description="finds things")
async def research(question: str) -> str:
    return question


@inference("gpt-4o", provider="openai")
def stream(prompt: str) -> Iterator[str]:
    yield prompt


total: int = add(1, 2)
add("1", 2)  # type: ignore[arg-type]
found: list[str] = search("x")
retrieval("docs", topk=5)  # type: ignore[call-overload]

with attribution(tenant="acme", plan="gold"), inference("gpt-4o", temperature=0.2) as call:
    call.result({"content": "x"})

record_usage(model="gpt-4o", input_tokens=5, output_tokens=3)
record_usage(model="gpt-4o", input_token=5)  # type: ignore[call-arg]
record_feedback(handler.last_trace, name="helpful", score=1)
best = traces.find(tenant="acme", evaluation="helpful", min_score=0.5).dearest(1)
traces.find(tennant="acme")  # type: ignore[call-arg]
session_cost: float | None = traces.sessions()[0].cost
shown: str = str(best[0])

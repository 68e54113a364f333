"""What the processes of a pool do. Importing this sets up telemetry, in the first process and in every worker."""

from langchain_core.language_models import FakeListChatModel
from llama_index.core.llms import MockLLM

from otel_callbacks import configure, instrument

telemetry = configure(service_name="pool")
instrument()


def ask(question: str) -> None:
    FakeListChatModel(responses=["Paris"]).invoke(question)
    MockLLM().complete(question)


def ask_and_flush(question: str) -> None:
    """For workers that are killed: loky's and Ray's run no exit handler."""
    ask(question)
    telemetry.flush()

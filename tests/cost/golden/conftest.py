import atexit
import sys
from collections.abc import Iterator

import pytest
from wire import Wire


def pytest_unconfigure() -> None:
    """LlamaIndex's vLLM would import torch on the way out, to free a GPU, and print that there is none."""
    if (vllm := sys.modules.get("llama_index.llms.vllm.base")) is not None:
        atexit.unregister(vllm.Vllm.close)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """No network, and no settings of the machine."""
    for variable in (
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        "ANTHROPIC_BASE_URL",
        "GROQ_BASE_URL",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    answering = Wire()
    answering.install(monkeypatch)
    yield answering

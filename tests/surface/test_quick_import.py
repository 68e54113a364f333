"""Importing a handler is quick: what it works with is imported when one is made. Not timed, but counted by module."""

import json
import subprocess
import sys
from collections.abc import Collection

import pytest

LANGCHAIN = """
import langchain_core.documents.base, langchain_core.runnables.config
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, LLMResult
"""
LLAMA_INDEX = "import llama_index.core"
LIST = """
import json, sys
before = set(sys.modules)
from {room} import OTelCallbackHandler
print(json.dumps(sorted(set(sys.modules) - before)))
"""
OPERATIONS = {"handlers", "limits", "operations", "runs", "runtime"}
API = {"attributes", "context", "environment_variables", "trace", "util"}


def imported(framework: str, room: str) -> list[str]:
    """Returns the modules that importing the handler adds to those of its framework."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", framework + LIST.format(room=room)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(
    ("framework", "room", "rooms"),
    [
        (LANGCHAIN, "langchain", OPERATIONS | {"langchain", "rag", "semconv"}),
        (LLAMA_INDEX, "llama_index", OPERATIONS | {"llama_index"}),
    ],
)
def test_only_what_the_class_needs(framework: str, room: str, rooms: Collection[str]) -> None:
    """No SDK, no exporter, no price, no pattern of a secret, no profile, no other part of the framework."""
    found = imported(framework, f"otel_callbacks.{room}")
    ours = [name for name in found if name.split(".")[0] == "otel_callbacks"]
    assert {name.split(".")[1] for name in ours if "." in name} == rooms
    # our version is in the package's metadata, which LangChain reads by itself on some releases of Python only
    others = {name for name in found if not name.startswith("importlib.metadata")} - {*ours, "opentelemetry"}
    assert {".".join(name.split(".")[:2]) for name in others} <= {f"opentelemetry.{part}" for part in API}

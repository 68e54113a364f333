"""With both frameworks installed, LlamaIndex is imported when the application does so, and traced from then on."""

from pathlib import Path

import pytest
from processes import run_script

SUPPORT = str(Path(__file__).parents[1] / "support")
BEGIN = f"""
import sys
sys.path.insert(0, {SUPPORT!r})
import fakes
import otel_callbacks
from otel_callbacks import OTelCallbackHandler, configure, instrument, traces, uninstrument
from otel_callbacks.runtime.faults import faults

faults.strict = True
configure(local=True)
"""
WITHOUT = "assert 'llama_index.core' not in sys.modules\n"
NAMES = "print([trace.name for trace in traces])\n"
CASES = {
    "LangChain alone": """
handler = OTelCallbackHandler()
fakes.ScriptedModel().invoke("q", {"callbacks": [handler]})
instrument()
fakes.ScriptedModel().invoke("q")
uninstrument()
assert 'llama_index.core' not in sys.modules
""",
    "a handler made before LlamaIndex is imported": """
handler = OTelCallbackHandler()
assert 'llama_index.core' not in sys.modules
import llama_fakes
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
assert isinstance(handler, BaseCallbackHandler)
assert isinstance(handler, otel_callbacks.llama_index.OTelCallbackHandler)
llama_fakes.ScriptedModel(callback_manager=CallbackManager([handler])).complete("q")
fakes.ScriptedModel().invoke("q", {"callbacks": [handler]})
print(handler.last_trace.name)
""",
    "the process-wide handler": """
instrument()
import llama_fakes
llama_fakes.ScriptedModel().complete("q")
fakes.ScriptedModel().invoke("q")
uninstrument()
llama_fakes.ScriptedModel().complete("q")
fakes.ScriptedModel().invoke("q")
""",
    "switched off before LlamaIndex is imported": """
instrument()
uninstrument()
import llama_fakes
llama_fakes.ScriptedModel().complete("q")
""",
    "our own half first": """
from otel_callbacks import handler
import otel_callbacks.llama_index
import llama_fakes
instrument()
llama_fakes.ScriptedModel().complete("q")
""",
    "LlamaIndex's workflows alone": """
import asyncio
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent
class Ask(Workflow):
    @step
    async def ask(self, event: StartEvent) -> StopEvent:
        return StopEvent(result="x")
async def main():
    instrument()
    await Ask().run()
asyncio.run(main())
[trace] = traces
print(trace.name)
fakes.ScriptedModel().invoke("q")
traces = traces.find(name="chat scripted-1")
""",
    "LlamaIndex first": """
import llama_fakes
instrument()
llama_fakes.ScriptedModel().complete("q")
""",
}
SHOWN = {
    "LangChain alone": 2,
    "a handler made before LlamaIndex is imported": 2,
    "the process-wide handler": 2,
    "switched off before LlamaIndex is imported": 0,
    "our own half first": 1,
    "LlamaIndex's workflows alone": 1,
    "LlamaIndex first": 1,
}


@pytest.mark.parametrize("case", CASES)
def test_each_order_of_imports(case: str, tmp_path: Path) -> None:
    shown = run_script(BEGIN + CASES[case] + NAMES, tmp_path).splitlines()
    assert shown[-1] == str(["chat scripted-1"] * SHOWN[case])

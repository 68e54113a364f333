"""Shows that a call costs as much late in a conversation, or in a trace, as early in it; counted in bytecodes.

    python benchmarks/long_conversations.py

An agent of 200 turns (a model call that asks for a tool, and the tool) in LangChain and in LlamaIndex, and a trace of
500 retrievals with a model call each. The figures are the bytecodes that one turn executes in our package and in the
SDK, in all threads. `tests/rag/test_long_conversations.py` compares early turns with late ones.
"""

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import opentelemetry.sdk.trace
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.callbacks import CallbackManager
from opentelemetry.sdk.trace import TracerProvider

import otel_callbacks
from otel_callbacks.handler import OTelCallbackHandler

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
import fakes
import llama_fakes

OURS = tuple(str(Path(each.__file__ or "").parent) for each in (otel_callbacks, opentelemetry.sdk))
SHOWN = (2, 5, 25, 100, 200, 500)


class Laps:
    """Counts bytecodes of our package and the SDK. A lap is from one call of the model to the next."""

    def __init__(self) -> None:
        self._count = 0
        self._at: list[int] = []

    def note(self) -> None:
        """Notes that the model is called."""
        self._at.append(self._count)

    def __getitem__(self, number: int) -> int:
        return self._at[number] - self._at[number - 1]

    def run(self, call: Callable[[], Any]) -> None:
        """Runs `call` and counts."""
        before = sys.gettrace()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            call()
        finally:
            sys.settrace(before)
            threading.settrace(None)  # type: ignore[arg-type]

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._trace_opcode

    def _trace_opcode(self, frame: FrameType, event: str, argument: Any) -> Any:
        self._count += event == "opcode"
        return self._trace_opcode


def handler() -> OTelCallbackHandler:
    return OTelCallbackHandler(tracer_provider=TracerProvider())


def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word}: a word of the language"


def langchain_agent(turns: int) -> Laps:
    """Runs an agent of LangChain."""
    laps = Laps()
    script = [fakes.call("look_up", f"call_{turn}", word=f"word {turn}") for turn in range(turns)]
    model = fakes.ScriptedModel(script=[*script, "done"], body=laps.note)
    agent = create_agent(model, [look_up], system_prompt="Be brief.")
    config: Any = {"callbacks": [handler()], "recursion_limit": 10 * turns}
    laps.run(lambda: agent.invoke({"messages": [("user", "go")]}, config))
    return laps


def llama_index_agent(turns: int) -> Laps:
    """Runs an agent of LlamaIndex."""
    laps = Laps()
    script = [llama_fakes.call("look_up", f"call_{turn}", word=f"word {turn}") for turn in range(turns)]
    model = llama_fakes.ScriptedModel(script=[*script, "done"], body=laps.note)
    agent = FunctionAgent(tools=[look_up], llm=model, system_prompt="Be brief.", streaming=False)

    async def run() -> None:
        await agent.run("go", max_iterations=2 * turns)

    before = Settings.callback_manager
    Settings.callback_manager = CallbackManager([handler()])
    try:
        laps.run(lambda: asyncio.run(run()))
    finally:
        Settings.callback_manager = before
    return laps


class Library(BaseRetriever):
    """Finds four other documents at every search."""

    searches: int = 0

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        self.searches += 1
        found = range(4 * self.searches, 4 * self.searches + 4)
        return [Document(f"On page {n} " + f"the {n}th word is {n * 7919} " * 12, id=str(n)) for n in found]


def retrievals(pairs: int) -> Laps:
    """Runs retrievals with a model call each in one trace; every retrieval finds other documents."""
    laps = Laps()
    retriever = Library()
    prompt = ChatPromptTemplate.from_template("Answer {question} from {context}")
    model = fakes.ScriptedModel(body=laps.note)

    def answer_all(questions: list[str]) -> None:
        for question in questions:
            context = "\n\n".join(each.page_content for each in retriever.invoke(question))
            model.invoke(prompt.invoke({"question": question, "context": context}))

    chain: Any = RunnableLambda(answer_all)
    questions = [f"question {number}" for number in range(pairs)]
    laps.run(lambda: chain.invoke(questions, {"callbacks": [handler()]}))
    return laps


WORKLOADS: dict[str, tuple[Callable[[int], Laps], int]] = {
    "LangChain agent": (langchain_agent, 200),
    "LlamaIndex agent": (llama_index_agent, 200),
    "retrieval and model call": (retrievals, 500),
}


def main() -> None:
    print(f"{'bytecodes of turn':25}" + "".join(f"{turn:>9}" for turn in SHOWN))
    for name, (run, turns) in WORKLOADS.items():
        laps = run(turns)
        print(f"{name:25}" + "".join(f"{laps[turn - 1]:9,}" for turn in SHOWN if turn <= turns))


if __name__ == "__main__":
    main()

"""`opentelemetry-instrument` traces both frameworks, once, and is told what to do by the environment."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedModel
from processes import run_script

from otel_callbacks import OTelCallbackHandler, instrument, uninstrument
from otel_callbacks.testing import Captured
from otel_callbacks.zero_code.instrumentor import OTelCallbacksInstrumentor

COMMAND = str(Path(sys.executable).with_name("opentelemetry-instrument"))
TO_CONSOLE = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}

PARTS = """
    import sys
    assert not {"langchain_core", "llama_index"} & sys.modules.keys()  # nothing is imported for us

    from langchain_core.language_models import FakeListChatModel
    from langchain_core.runnables import RunnableLambda
    chain = (RunnableLambda(str) | FakeListChatModel(responses=["a"])).with_config(run_name="chain")
    chain.invoke("q")
    assert "llama_index.core" not in sys.modules

    from llama_index.core.llms import MockLLM
    MockLLM().complete("q")

    from otel_callbacks import OTelCallbackHandler, instrument
    from llama_index.core.callbacks import CallbackManager
    handler = OTelCallbackHandler()
    chain.invoke("q", {"callbacks": [handler]})
    MockLLM(callback_manager=CallbackManager([handler])).complete("q")

    instrument()
    chain.invoke("q")
    MockLLM().complete("q")
"""


def run(script: str, folder: Path, ends: int = 0, **variables: str) -> tuple[list[dict[str, Any]], str]:
    """The spans of a script that runs below `opentelemetry-instrument`, and what it logs."""
    (folder / "app.py").write_text(textwrap.dedent(script))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ran = subprocess.run(
        [COMMAND, sys.executable, "app.py"],
        cwd=folder,
        env=environment | TO_CONSOLE | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == ends, ran.stderr
    return list(_documents(ran.stdout)), ran.stderr


def _documents(text: str) -> Iterator[dict[str, Any]]:
    while text := text.lstrip():
        found, end = json.JSONDecoder().raw_decode(text)
        yield found
        text = text[end:]


def test_each_call_is_one_span_also_if_the_code_traces_it_as_well(tmp_path: Path) -> None:
    spans, logged = run(
        PARTS,
        tmp_path,
        OTEL_CALLBACKS_DETAIL="operations",
        OTEL_CALLBACKS_ATTRIBUTION="tenant=acme,feature=a%2Cb",
        OTEL_CALLBACKS_ESTIMATE_USAGE="perhaps",
        OTEL_CALLBACKS_BUDGET="5",
    )
    by_name = ["chat", "invoke_workflow chain", "text_completion"]
    assert [span["name"] for span in spans] == by_name * 3
    assert [span["parent_id"] is None for span in spans] == [False, True, True] * 3
    assert {span["attributes"]["app.tenant_id"] for span in spans} == {"acme"}
    assert {span["attributes"]["app.feature"] for span in spans} == {"a,b"}
    assert logged.splitlines() == [
        "OTEL_CALLBACKS_BUDGET is ignored: it is not known; did you mean OTEL_CALLBACKS_BUDGETS?",
        "OTEL_CALLBACKS_ESTIMATE_USAGE is ignored: it is written as `true` or `false`, and 'perhaps' is not: 'perhaps'",
    ]


WITHOUT = """
    import sys
    from importlib.machinery import PathFinder

    class Without(PathFinder):
        @classmethod
        def find_spec(cls, name, path=None, target=None):
            return None if name.split(".")[0] in {hidden!r} else super().find_spec(name, path, target)

    sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
TWICE = """
    work()
    from otel_callbacks import instrument
    instrument()
    work()
"""
ONE_CALL = {
    "langchain": """
    from langchain_core.language_models import FakeListChatModel
    work = lambda: FakeListChatModel(responses=["a"]).invoke("q")
    """,
    "llama_index": """
    from llama_index.core.llms import MockLLM
    work = lambda: MockLLM().complete("q")
    """,
    "workflows alone": """
    import asyncio
    from workflows import Workflow, step
    from workflows.events import StartEvent, StopEvent

    class Asks(Workflow):
        @step
        async def ask(self, event: StartEvent) -> StopEvent:
            return StopEvent(result="a")

    async def ask():
        await Asks().run()

    work = lambda: asyncio.run(ask())
    """,
}


@pytest.mark.parametrize(
    ("framework", "hidden", "name"),
    [
        ("langchain", ("llama_index",), "chat"),
        ("llama_index", ("langchain", "langchain_core"), "text_completion"),
        ("workflows alone", ("langchain", "langchain_core"), "invoke_workflow Asks"),
    ],
)
def test_one_framework_is_enough(framework: str, hidden: tuple[str, ...], name: str, tmp_path: Path) -> None:
    script = WITHOUT.format(hidden=hidden) + ONE_CALL[framework] + TWICE
    spans, logged = run(script, tmp_path, OTEL_CALLBACKS_DETAIL="operations")
    assert [span["name"] for span in spans] == [name] * 2
    assert logged == ""


def test_uvicorn_sends_what_waits_before_it_repeats_the_signal(tmp_path: Path) -> None:
    script = """
        import asyncio, os, signal, threading
        import uvicorn
        from langchain_core.language_models import FakeListChatModel

        async def app(scope, receive, send):
            assert scope["type"] == "lifespan"  # which it knows nothing of
            FakeListChatModel(responses=["a"]).invoke("q")
            os.kill(os.getpid(), signal.SIGTERM)
            raise NotImplementedError

        uvicorn.run(app, port=0)
    """
    spans, _ = run(script, tmp_path, OTEL_CALLBACKS_FLUSH_ON_SIGNAL="SIGTERM", ends=-signal.SIGTERM)
    assert [span["name"] for span in spans] == ["chat"]


def test_a_version_that_is_too_old_is_left_alone_and_named(tmp_path: Path) -> None:
    information = tmp_path / "langchain_core-0.3.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: langchain-core\nVersion: 0.3.0\n")
    script = """
        from langchain_core.runnables import RunnableLambda
        RunnableLambda(str).with_config(run_name="one").invoke(1)
    """
    spans, logged = run(script, tmp_path, PYTHONPATH=str(tmp_path))
    assert spans == []
    assert "langchain is not traced" in logged
    assert "langchain-core 0.3.0" in logged


def test_nothing_is_left_of_it_after_uninstrument(tmp_path: Path) -> None:
    printed = run_script(
        """
        import sys
        import llama_index.core, llama_index.core.postprocessor
        from langchain_core.documents import BaseDocumentCompressor
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_core.language_models import FakeListChatModel
        from llama_index.core.llms import MockLLM
        from llama_index_instrumentation import root_dispatcher
        from otel_callbacks.recording.process_recorder import process_recorder
        from otel_callbacks.testing import capture
        from otel_callbacks.zero_code.instrumentor import OTelCallbacksInstrumentor

        def work():
            FakeListChatModel(responses=["a"]).invoke("q")
            DeterministicFakeEmbedding(size=2).embed_query("q")
            MockLLM().complete("q")

        def contents(value):
            return list(value) if isinstance(value, list) else dict(value) if isinstance(value, dict) else value

        FRAMEWORKS = {"langchain_core", "llama_index", "llama_index_instrumentation", "workflows"}

        def state():
            modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] in FRAMEWORKS}
            found = {(name, each): contents(value) for name, module in modules.items()
                     for each, value in vars(module).items() if not each.startswith("__")}
            for (name, each), value in list(found.items()):
                if isinstance(value, type):
                    kept = {key: part for key, part in vars(value).items()
                            if key != "__annotations__" and not key.startswith("_abc")}  # Python makes these on the way
                    found[(name, each, "class")] = kept
            found["dispatcher"] = list(root_dispatcher.span_handlers), list(root_dispatcher.event_handlers)
            found["recorder"] = process_recorder()
            return found

        work()
        OTelCallbacksInstrumentor().instrument()  # imports our rooms, and what they import
        OTelCallbacksInstrumentor().uninstrument()
        with capture() as telemetry:
            before = state()
            OTelCallbacksInstrumentor().instrument(embeddings=True, rerankers=True, **telemetry.providers)
            work()
            during = state()
            OTelCallbacksInstrumentor().uninstrument()
            work()
            after = state()
        changed = lambda other: sorted(str(key) for key in before.keys() | other.keys()
                                       if before.get(key) != other.get(key))
        print(sorted(span.name for span in telemetry.spans))
        print(len(changed(during)) > 4, changed(after))
        """,
        tmp_path,
    )
    assert printed.splitlines() == ["['chat', 'embeddings', 'text_completion']", "True []"]


@pytest.fixture
def instrumentor() -> Iterator[OTelCallbacksInstrumentor]:
    instrumentor = OTelCallbacksInstrumentor()
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    uninstrument()


def test_the_applications_own_handler_stays(
    instrumentor: OTelCallbacksInstrumentor, captured: Captured
) -> None:
    instrument(OTelCallbackHandler(**captured.providers))
    instrumentor.instrument()
    ScriptedModel().invoke("q")
    instrumentor.uninstrument()
    ScriptedModel().invoke("q")
    assert [span.name for span in captured.spans] == ["chat scripted-1"] * 2


def test_arguments_come_before_the_environment(
    instrumentor: OTelCallbacksInstrumentor, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_CALLBACKS_ATTRIBUTION", "tenant=environment")
    instrumentor.instrument(**captured.providers, attribution={"tenant": "argument"})
    ScriptedModel().invoke("q")
    assert captured.spans[0].attributes["app.tenant_id"] == "argument"


def test_an_argument_that_is_wrong_raises(instrumentor: OTelCallbacksInstrumentor) -> None:
    with pytest.raises(ValueError, match="detail='all' is not known"):
        instrumentor.instrument(detail="all")
    assert not instrumentor.is_instrumented_by_opentelemetry

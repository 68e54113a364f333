"""What users see of the package: signatures, docstrings, reprs, types and errors."""

import dataclasses
import inspect
import os
import pydoc
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from processes import run_script

import otel_callbacks.langchain
import otel_callbacks.llama_index
from otel_callbacks import manual
from otel_callbacks.export.telemetry import Telemetry
from otel_callbacks.handlers.options import Options
from otel_callbacks.manual.decorators import OperationDecorator
from otel_callbacks.manual.descriptions import _MEANINGS
from otel_callbacks.testing import Captured

ROOT = Path(__file__).parents[2]
HANDLERS = [
    otel_callbacks.OTelCallbackHandler,
    otel_callbacks.langchain.OTelCallbackHandler,
    otel_callbacks.llama_index.OTelCallbackHandler,
]
DECORATORS = {
    name: found for name in manual.__all__ if isinstance(found := getattr(manual, name), OperationDecorator)
}


@pytest.mark.parametrize("kind", HANDLERS)
def test_a_handler_names_its_arguments_and_says_what_they_mean(kind: type) -> None:
    parameters = inspect.signature(kind).parameters
    assert list(parameters) == list(Options.__annotations__)
    assert {each.kind for each in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    page = pydoc.render_doc(kind)
    assert all(f"    {name}: " in page for name in parameters)


@pytest.mark.parametrize("name", DECORATORS)
def test_each_decorator_has_its_own_docstring_and_arguments(name: str) -> None:
    decorator = DECORATORS[name]
    parameters = [each for each in inspect.signature(decorator).parameters if each != "name"]
    page = pydoc.render_doc(decorator, renderer=pydoc.plaintext)
    assert f"`@{name}`" in page and all(f"{each}: {_MEANINGS[each]}"[:60] in page for each in parameters)
    fields = {each.name for each in dataclasses.fields(decorator._operation)} - {"billing", "request", "name"}
    assert set(parameters) == fields


def test_no_two_decorators_say_the_same() -> None:
    assert len(DECORATORS) == len({inspect.getdoc(each) for each in DECORATORS.values()}) == 8
    assert set(_MEANINGS) == {
        name for each in DECORATORS.values() for name in inspect.signature(each).parameters
    } - {"name"}


def test_the_version() -> None:
    assert otel_callbacks.__version__ == version("otel-callbacks")
    assert "__version__" in dir(otel_callbacks)


def test_what_is_made_can_be_read(captured: Captured) -> None:
    handler = otel_callbacks.OTelCallbackHandler(content="spans", **captured.providers)
    book = otel_callbacks.PriceBook.of({"prices": {"m": {"input": 1, "output": 2}}, "version": "3"})
    assert [repr(each) for each in (handler, book, otel_callbacks.attribution(tenant="acme"))] == [
        "<OTelCallbackHandler detail='standard' content='spans'>",
        "<PriceBook of 1 price, version '3'>",
        "<attribution app.tenant_id='acme'>",
    ]
    telemetry = Telemetry(TracerProvider(shutdown_on_exit=False))
    assert repr(telemetry) == "<Telemetry to what the application has set up>"
    telemetry.shutdown()


def test_telemetry_says_what_became_of_the_spans(tmp_path: Path) -> None:
    script = """
        from otel_callbacks import configure

        telemetry = configure(file="t.jsonl")
        telemetry.tracer_provider.get_tracer("x").start_span("x").end()
        telemetry.flush()
        print(repr(telemetry))
    """
    assert run_script(script, tmp_path) == "<Telemetry to t.jsonl (1 span exported, 0 waiting, 0 lost)>\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: otel_callbacks.configure(endpoint="x"),
            r"configure\(\) has no argument endpoint; did you mean endpoints",
        ),
        (
            lambda: otel_callbacks.configure(colour=1),
            r"has no argument colour; use service_name, to, endpoints",
        ),
        (
            lambda: otel_callbacks.OTelCallbackHandler(contnet="x"),
            "a handler has no argument contnet; did you mean content",
        ),
        (
            lambda: otel_callbacks.instrument(contnet="x"),
            "a handler has no argument contnet; did you mean content",
        ),
        (lambda: otel_callbacks.record_usage(model="m", input_token=1), "did you mean input_tokens"),
    ],
)
def test_an_unknown_argument_is_an_error_that_says_which_was_meant(call, message) -> None:
    with pytest.raises(TypeError, match=message):
        call()


WITHOUT = """
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {missing!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Missing())
    from importlib import import_module
    import otel_callbacks

    otel_callbacks.uninstrument()
    for room in ("langchain", "llama_index", "handler"):
        try:
            import_module("otel_callbacks." + room)
        except ImportError as error:
            print(error)
    otel_callbacks.uninstrument()
"""
NEITHER = "neither LangChain nor LlamaIndex is installed: pip install 'otel-callbacks[langchain]',"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (["langchain_core"], ["langchain_core is not installed: pip install 'otel-callbacks[langchain]'"]),
        (["llama_index"], ["llama_index.core is not installed: pip install 'otel-callbacks[llama-index]'"]),
        (
            ["langchain_core", "llama_index"],
            [
                "langchain_core is not installed: pip install 'otel-callbacks[langchain]'",
                "llama_index.core is not installed: pip install 'otel-callbacks[llama-index]'",
                f"{NEITHER} 'otel-callbacks[llama-index]' or 'otel-callbacks[all]'",
            ],
        ),
    ],
)
def test_a_missing_framework_is_an_error_with_its_extra_and_off_is_always_off(
    missing, said, tmp_path
) -> None:
    assert run_script(WITHOUT.format(missing=missing), tmp_path).splitlines() == said


def test_switching_off_goes_on_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from otel_callbacks.runtime.faults import faults

    faults.strict = False
    handler = otel_callbacks.instrument()
    broken = otel_callbacks.langchain
    real = broken.uninstrument
    monkeypatch.setattr(broken, "uninstrument", lambda: 1 / 0)
    otel_callbacks.uninstrument()
    assert otel_callbacks.llama_index.instrumentor.instrumented() is None
    real()
    assert handler is not None


def test_type_checkers_know_what_users_may_write() -> None:
    """Every line is right, and every line that must be an error is one, as an unused ignore is an error."""
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "tests/surface/snippets.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "MYPY_FORCE_COLOR": "0"},
    )
    assert checked.returncode == 0, checked.stdout

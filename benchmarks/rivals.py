"""Who is measured, what has to be installed for it, and how it is set up. Imports nothing that one of them lacks."""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
ENVIRONMENTS = REPOSITORY / ".venv" / "rivals"
FRAMEWORKS = ("langchain", "langgraph", "llama-index", "pydantic")
"""What the names of packages begin with whose versions are the same everywhere; the rivals choose the SDK's."""
_INSTALLED = ("langchain", "langgraph", "llama-index-core")


@dataclass(frozen=True)
class Providers:
    """Where a rival shall send its telemetry to. They are the global ones, too."""

    tracer: Any
    meter: Any

    @property
    def arguments(self) -> dict[str, Any]:
        """The providers as the arguments of an instrumentor."""
        given = {"tracer_provider": self.tracer, "meter_provider": self.meter}
        return {name: provider for name, provider in given.items() if provider is not None}


@dataclass(frozen=True)
class Tracing:
    """Tracing that is switched on: the handlers to pass, and the block around each call."""

    langchain: list[Any] = field(default_factory=list)
    llama_index: list[Any] = field(default_factory=list)
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class Rival:
    """One way to trace.

    Attributes:
        title: how tables name it.
        packages: what is installed, the first of which has the version that tables show; nothing for ours.
        set_up: switches it on; takes the providers and whether content is recorded (None: as by default).
        without: the workloads that it cannot trace, and why.
        added: packages to add without what they require.
    """

    title: str
    packages: tuple[str, ...]
    set_up: Callable[[Providers, bool | None], Tracing]
    without: dict[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()


def _instrument(*places: str) -> Callable[[Providers, bool | None], Tracing]:
    """Returns a set-up that calls `instrument` of these instrumentors."""

    def set_up(providers: Providers, content: bool | None) -> Tracing:
        if content:
            os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
            os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
        for place in places:
            module, _, name = place.partition(":")
            getattr(import_module(module), name)().instrument(**providers.arguments)
        return Tracing()

    return set_up


def _ours(providers: Providers, content: bool | None, **options: Any) -> Tracing:
    from otel_callbacks import attribution
    from otel_callbacks.handler import OTelCallbackHandler

    prices = {"prices": {"scripted-1": {"input": "2.50", "output": "10.00", "cache_read": "1.25"}}}
    recorded: Any = {} if content is None else {"content": "spans" if content else "none"}
    handler = OTelCallbackHandler(prices=prices, **providers.arguments, **recorded, **options)
    return Tracing([handler], [handler], lambda: attribution(tenant="acme", feature="search", user="u-7"))


def _everything(providers: Providers, content: bool | None) -> Tracing:
    return _ours(providers, content, detail="everything")


def _sdk(providers: Providers, content: bool | None) -> Tracing:
    from workloads import SdkOnly

    return Tracing([SdkOnly(providers.tracer.get_tracer("bench"))])


def _empty(providers: Providers, content: bool | None) -> Tracing:
    from workloads import EMPTY

    return Tracing([EMPTY], [EMPTY])


def _langfuse(providers: Providers, content: bool | None) -> Tracing:
    from langfuse import Langfuse
    from langfuse.langchain import CallbackHandler
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Discard(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    Langfuse(
        public_key="pk-lf-1",
        secret_key="sk-lf-1",
        base_url="http://127.0.0.1:9",
        tracer_provider=providers.tracer,
        span_exporter=Discard(),
    )
    return Tracing([CallbackHandler()])


def _azure(providers: Providers, content: bool | None) -> Tracing:
    from langchain_azure_ai.callbacks.tracers import AzureAIOpenTelemetryTracer

    given = {} if content is None else {"enable_content_recording": content}
    return Tracing([AzureAIOpenTelemetryTracer(auto_configure_azure_monitor=False, **given)])


_LANGCHAIN_ONLY = {
    "llama_index": "does not trace LlamaIndex",
    "llama_index_stream": "does not trace LlamaIndex",
}

EMPTY_HANDLER = "empty"
OURS = "otel-callbacks"
RIVALS: dict[str, Rival] = {
    EMPTY_HANDLER: Rival("an empty handler", (), _empty),
    "sdk": Rival("the SDK alone, 12 attributes a span", (), _sdk, without=_LANGCHAIN_ONLY),
    OURS: Rival("otel-callbacks", (), _ours),
    "everything": Rival('otel-callbacks, `detail="everything"`', (), _everything),
    "openllmetry": Rival(
        "OpenLLMetry",
        (
            "opentelemetry-instrumentation-langchain==0.62.4",
            "opentelemetry-instrumentation-llamaindex==0.62.4",
        ),
        _instrument(
            "opentelemetry.instrumentation.langchain:LangchainInstrumentor",
            "opentelemetry.instrumentation.llamaindex:LlamaIndexInstrumentor",
        ),
        added=("llama-index-llms-openai",),  # cannot be imported without
    ),
    "openinference": Rival(
        "OpenInference",
        (
            "openinference-instrumentation-langchain==0.1.80",
            "openinference-instrumentation-llama-index==4.6.1",
        ),
        _instrument(
            "openinference.instrumentation.langchain:LangChainInstrumentor",
            "openinference.instrumentation.llama_index:LlamaIndexInstrumentor",
        ),
    ),
    "official": Rival(
        "OpenTelemetry (official)",
        (
            "opentelemetry-instrumentation-genai-langchain==1.3b0",
            "opentelemetry-instrumentation-genai-llama-index==1.3b0",
        ),
        _instrument(
            "opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor",
            "opentelemetry.instrumentation.genai.llama_index:LlamaIndexInstrumentor",
        ),
    ),
    "langfuse": Rival("Langfuse", ("langfuse==5.0.4",), _langfuse, without=_LANGCHAIN_ONLY),
    "adot": Rival(
        "AWS ADOT",
        ("aws-opentelemetry-distro==0.21.0",),
        _instrument(
            "amazon.opentelemetry.distro.instrumentation.langchain:LangChainInstrumentor",
            "amazon.opentelemetry.distro.instrumentation.llama_index:LlamaIndexInstrumentor",
        ),
    ),
    "azure": Rival("Azure", ("langchain-azure-ai[opentelemetry]==1.2.12",), _azure, without=_LANGCHAIN_ONLY),
    "loongsuite": Rival(
        "LoongSuite",
        ("loongsuite-instrumentation-langchain==0.9.0", "loongsuite-instrumentation-langgraph==0.9.0"),
        _instrument(
            "opentelemetry.instrumentation.langchain:LangChainInstrumentor",
            "opentelemetry.instrumentation.langgraph:LangGraphInstrumentor",
        ),
        without=_LANGCHAIN_ONLY,
    ),
}


def python_of(name: str) -> Path:
    """Returns the Python in which a rival is installed, and installs it if it is not there yet.

    Raises:
        subprocess.CalledProcessError: it cannot be installed; `stderr` says why.
    """
    rival = RIVALS[name]
    if not rival.packages:
        return Path(sys.executable)
    home = ENVIRONMENTS / name
    python = home / "bin" / "python"
    constraints = "".join(sorted(line for line in _tested_versions() if line.startswith(FRAMEWORKS)))
    wanted = json.dumps([rival.packages, rival.added, constraints])
    made = home / "made.json"
    if made.exists() and made.read_text() == wanted:
        return python
    print(f"installing {rival.title} into {home.relative_to(REPOSITORY)}", flush=True)
    venv.create(home, with_pip=True, clear=True)
    (home / "constraints.txt").write_text(constraints)
    environment = {**os.environ, "PIP_CONSTRAINT": str(home / "constraints.txt")}
    pip = (python, "-m", "pip", "install", "--quiet")
    commands = [(*pip, "--upgrade", "pip"), (*pip, *_INSTALLED, *rival.packages), (*pip, "opentelemetry-sdk")]
    for command in (*commands, *((*pip, "--no-deps", each) for each in rival.added)):
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    made.write_text(wanted)
    return python


def _tested_versions() -> list[str]:
    return (REPOSITORY / "tested-versions.txt").read_text().splitlines(keepends=True)

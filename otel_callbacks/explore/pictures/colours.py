"""The colours of a picture: those of the kinds of spans it tells apart, and those of all the rest."""

from dataclasses import dataclass

from otel_callbacks import semconv
from otel_callbacks.explore.spans.records import SpanRecord

INK = "#1f2328"
MUTED = "#656d76"
FAINT = "#8c959f"
BORDER = "#d0d7de"
GRID = "#e9edf1"
CARD = "#ffffff"
RED = "#cf222e"
RED_PALE = "#f5a8ad"
RED_PAPER = "#fff0ee"
AMBER = "#9a6700"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work: its name in the legend, its colour, and a pale one for what took no work of its own."""

    name: str
    colour: str
    pale: str


STEP = Kind("step", "#8b95a1", "#d3d9df")
_MODEL = Kind("model call", "#2f6fde", "#b4d0fa")
_KINDS = {
    semconv.INVOKE_WORKFLOW: Kind("workflow", "#4b5563", "#c3c9d1"),
    semconv.INVOKE_AGENT: Kind("agent", "#7c4ddb", "#d6c6f7"),
    semconv.RETRIEVAL: Kind("retrieval", "#12857a", "#a8ddd6"),
    semconv.RERANK: Kind("rerank", "#5d9a2f", "#cbe3b4"),
    semconv.EMBEDDINGS: Kind("embeddings", "#2395bb", "#b2ddec"),
    semconv.EXECUTE_TOOL: Kind("tool", "#dd8411", "#f8d7a6"),
    **dict.fromkeys((semconv.CHAT, semconv.TEXT_COMPLETION, "generate_content"), _MODEL),
}


def kind_of(span: SpanRecord) -> Kind:
    """The kind of a span by its operation; everything without one is a step."""
    return _KINDS.get(span.operation or "", STEP)

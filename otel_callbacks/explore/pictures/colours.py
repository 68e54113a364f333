"""The colours of pictures, by category of span and for everything else, in a light theme and in a dark one."""

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
class Category:
    """A category of spans: its name in the legend, its colour, and a pale colour for waiting and cached work."""

    name: str
    colour: str
    pale: str


STEP = Category("step", "#8b95a1", "#d3d9df")
_MODEL = Category("model call", "#2f6fde", "#b4d0fa")
_CATEGORIES = {
    semconv.INVOKE_WORKFLOW: Category("workflow", "#4b5563", "#c3c9d1"),
    semconv.INVOKE_AGENT: Category("agent", "#7c4ddb", "#d6c6f7"),
    semconv.RETRIEVAL: Category("retrieval", "#12857a", "#a8ddd6"),
    semconv.RERANK: Category("rerank", "#5d9a2f", "#cbe3b4"),
    semconv.EMBEDDINGS: Category("embeddings", "#2395bb", "#b2ddec"),
    semconv.EXECUTE_TOOL: Category("tool", "#dd8411", "#f8d7a6"),
    **dict.fromkeys((semconv.CHAT, semconv.TEXT_COMPLETION, "generate_content"), _MODEL),
}
OPERATIONS = frozenset(_CATEGORIES)
"""The operations that have a category of their own; the names of their spans begin with them."""


def category_of(span: SpanRecord) -> Category:
    """Returns the category of a span by its operation; a span without a known operation is a step."""
    return _CATEGORIES.get(span.operation or "", STEP)


_IN_THE_DARK = {
    INK: "#e6edf3",
    MUTED: "#9198a1",
    FAINT: "#7d8590",
    BORDER: "#3d444d",
    GRID: "#262c36",
    RED: "#f85149",
    RED_PAPER: "#301a1f",
    AMBER: "#d29922",
    _CATEGORIES[semconv.INVOKE_WORKFLOW].colour: "#b1bac4",
}
PICTURE_CLASS = "otel-callbacks-trace"
DARK_STYLE = (
    "@media(prefers-color-scheme:dark){"
    + "".join(
        f'.{PICTURE_CLASS} [{name}="{light}"]{{{name}:{dark}}}'
        for light, dark in _IN_THE_DARK.items()
        for name in ("fill", "stroke")
    )
    + f'.{PICTURE_CLASS} rect[fill="{CARD}"]{{fill:#0d1117}}}}'
)
"""The style sheet for dark themes; where a site strips it, the picture stays a light card."""


_BY_NAME = {category.name.replace(" ", "-"): category for category in (STEP, *_CATEGORIES.values())}


def _variables(dark: bool) -> str:
    """Returns the colours as variables of a style sheet; those of a category have its name."""
    names = {"ink": INK, "muted": MUTED, "faint": FAINT, "border": BORDER, "grid": GRID, "red": RED}
    names |= {"red-paper": RED_PAPER, "red-pale": RED_PALE, "amber": AMBER}
    for name, category in _BY_NAME.items():
        names |= {name: category.colour, f"{name}-pale": category.pale}
    return "".join(
        f"--{name}:{_IN_THE_DARK.get(each, each) if dark else each};" for name, each in sorted(names.items())
    )


STYLE_SHEET = (
    f":root{{{_variables(dark=False)}}}\n@media(prefers-color-scheme:dark){{:root{{{_variables(dark=True)}}}}}\n"
    + "".join(
        f".kind-{name}{{--kind:var(--{name});--kind-pale:var(--{name}-pale)}}\n" for name in sorted(_BY_NAME)
    )
)
"""The style sheet of our own pages: a variable for each colour, and for each category a class that sets `--kind`."""

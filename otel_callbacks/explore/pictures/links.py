"""Where a trace can be seen in the back ends it was sent to."""

from collections.abc import Mapping
from string import Formatter

from otel_callbacks.explore.spans.tree import SpanTree

_FIELDS = {"trace_id"}
_templates: dict[str, str] = {}


def set_links(templates: Mapping[str, str]) -> None:
    """Sets the links that are shown with every trace, by their label; they replace those set before.

    `set_links({"jaeger": "http://localhost:16686/trace/{trace_id}"})`

    Raises:
        ValueError: a template is not an http address, or has no or another placeholder than `{trace_id}`.
    """
    for label, template in templates.items():
        if not template.startswith(("http://", "https://")) or _fields(template) != _FIELDS:
            raise ValueError(
                f"links[{label!r}]={template!r} must be an http or https address with {{trace_id}} in it"
            )
    _templates.clear()
    _templates.update(templates)


def links_of(trace: SpanTree) -> list[tuple[str, str]]:
    """Label and address of each link of `trace`."""
    return [(label, template.format(trace_id=trace.trace_id)) for label, template in _templates.items()]


def _fields(template: str) -> set[str | None]:
    try:
        return {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    except ValueError:  # unbalanced braces
        return set()

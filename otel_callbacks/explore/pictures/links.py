"""Links to a trace in the back ends that received it."""

from collections.abc import Mapping
from string import Formatter

from otel_callbacks.explore.spans.tree import SpanTree

_FIELDS = {"trace_id"}
_templates: dict[str, str] = {}


def set_links(templates: Mapping[str, str]) -> None:
    """Sets the links that are shown with every trace, by label; they replace earlier links.

    `set_links({"jaeger": "http://localhost:16686/trace/{trace_id}"})`

    Raises:
        ValueError: A template is not an http(s) address, or its only placeholder is not `{trace_id}`.
    """
    for label, template in templates.items():
        if not template.startswith(("http://", "https://")) or _fields(template) != _FIELDS:
            raise ValueError(
                f"links[{label!r}]={template!r} must be an http or https address with {{trace_id}} in it"
            )
    _templates.clear()
    _templates.update(templates)


def trace_links(trace: SpanTree) -> list[tuple[str, str]]:
    """Returns the label and address of each link for `trace`."""
    return [(label, template.format(trace_id=trace.trace_id)) for label, template in _templates.items()]


def _fields(template: str) -> set[str | None]:
    try:
        return {field for _, field, _, _ in Formatter().parse(template) if field is not None}
    except ValueError:  # unbalanced braces
        return set()

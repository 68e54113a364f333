"""Writes the pages of the reference from the code: attributes, metrics and events, limits, commands.

`python docs/scripts/reference.py` after a change; a test compares the pages with what this makes.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import click

from otel_callbacks import cli, conformance, limits, semconv

FOLDER = Path(__file__).parents[1] / "reference"
MEANINGS: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "meanings.toml").read_text())
_RULES = Path(conformance.__file__).parent
CONVENTIONS = json.loads((_RULES / "registry.json").read_text())
EXTENSIONS = json.loads((_RULES / "extensions.json").read_text())
_PROFILES = EXTENSIONS["profiles"]

_GROUPS = {  # the section "Ours" of semconv.py is long
    "otel_callbacks.rollup.": "Ours: totals",
    "otel_callbacks.cost.": "Ours: cost",
    "gen_ai.usage.cost": "Ours: cost",
    "otel_callbacks.usage.": "Ours: usage",
    "otel_callbacks.cache.": "Ours: the provider's cache",
    "app.": "Ours: labels",
    "user.": "Ours: labels",
    "session.": "Ours: labels",
    "rag.": "Ours: RAG",
    "langgraph.": "Ours: LangGraph",
}


def pages() -> dict[str, str]:
    """Returns the text of each page, by the name of its file."""
    return {
        "attributes.md": attributes_page(),
        "metrics.md": metrics_page(),
        "limits.md": limits_page(),
        "commands.md": commands_page(),
    }


def named() -> Iterator[tuple[str, str]]:
    """Yields the section and the value of every name in semconv.py that has a meaning."""
    section = ""
    for line in Path(semconv.__file__).read_text().splitlines():
        if line.startswith("# "):
            section = re.split(r"\.$|\. |; | \(|: the values", line[2:])[0]
        name = line.partition(":")[0]
        value = getattr(semconv, name, None) if name.isupper() else None
        if isinstance(value, str) and any(value in each for each in MEANINGS.values()):
            yield next((group for start, group in _GROUPS.items() if value.startswith(start)), section), value


def registered(kind: str) -> dict[str, Any]:
    """Returns what the conventions, we and the profiles register: "attributes", "metrics" or "events"."""
    found: dict[str, Any] = {}
    for registry in (*_PROFILES.values(), EXTENSIONS, CONVENTIONS):
        found |= registry.get(kind, {})
    return found


def attribute(name: str) -> dict[str, Any]:
    """Returns the type of an attribute, and what else the registry says of it.

    Raises:
        KeyError: no registry has it.
    """
    is_label = name.startswith(tuple(EXTENSIONS["prefixes"]))
    kind = "string" if is_label else registered("attributes")[name]
    return kind if isinstance(kind, dict) else {"type": kind}


def source(name: str, kind: str = "attributes") -> str:
    """Returns who defines a name."""
    if name in CONVENTIONS[kind]:
        return "conventions"
    if any(name in profile.get(kind, {}) for profile in _PROFILES.values()):
        return "back ends"
    return "ours"


def attributes_page() -> str:
    """Returns the page of all attributes, a table for each section of semconv.py."""
    sections: dict[str, list[str]] = {}
    for section, name in named():
        if name in MEANINGS["attributes"]:
            meaning, example = MEANINGS["attributes"][name]
            kind = attribute(name)
            values = f" One of {_listed(kind['enum'])}." if len(kind.get("enum", ())) in range(1, 7) else ""
            shown = _cell(example if isinstance(example, str) else json.dumps(example))
            sections.setdefault(section, []).append(
                f"| `{name}` | {kind['type']} | {meaning}{values} | {shown} | {source(name)} |"
            )
    head = "| attribute | type | meaning | example | source |\n|---|---|---|---|---|"
    tables = "\n\n".join(f"## {section}\n\n{head}\n{_lines(rows)}" for section, rows in sections.items())
    return f"""# Attributes

{_MADE}

"Conventions" are OpenTelemetry's: {CONVENTIONS["version"]}. "Content" is recorded only if the
[policy](../guides/privacy.md) says so. Beside these there are `gen_ai.prompt.variable.<name>` (content) and the labels
`app.<name>` that you set. An attribute that is not known is left out; none is made up.

{tables}

## Reasons why a call has no cost

| `otel_callbacks.cost.unpriced_reason` | what to do |
|---|---|
{_lines(f"| `{reason}` | {what} |" for reason, what in REASONS.items())}
"""


REASONS = {
    "unknown_model": "Add the model to your price book; the log has the line.",
    "unknown_provider": "Add the model to your price book: its integration does not say whose it is.",
    "local_endpoint": "Nothing, if the server is yours. Else add a price with its host to your price book.",
    "no_usage": "Ask for usage: `stream_usage=True` or what the log says for your integration.",
    "no_rate": "Add the missing rate (such as cached input) to your price book.",
    "invalid_usage": "Counts contradict each other or are no counts. Report it to the integration, with the span.",
    "estimated_usage": "Estimates are never priced.",
    "ended_early": "The stream ended before the provider's last count.",
    "no_price_source": "Install the extra `cost`, or give a price book.",
    "prices_loading": "Await `asyncio.to_thread(otel_callbacks.prices.ready)` at start-up.",
}
_MADE = "Made from `semconv.py` and the registries of `otel_callbacks/conformance/` by `docs/scripts/reference.py`."


def metrics_page() -> str:
    """Returns the page of metrics and events."""
    metrics = registered("metrics")
    emitted = {value for name, value in vars(semconv).items() if name.startswith("METRIC_")}
    rows, carried = [], []
    for name, meaning in MEANINGS["metrics"].items():
        if name in emitted:
            kind = metrics[name]
            labels = [f"`{each}`" for each in (*kind["required"], *kind["optional"])]
            labels += ["the labels in `metric_labels`"] * bool(kind.get("labels"))
            about = f"{kind['instrument']} | `{kind['unit']}` | {meaning} | {source(name, 'metrics')}"
            rows.append(f"| `{name}` | {about} |")
            carried.append(f"| `{name}` | {', '.join(labels) or '–'} |")
    events = [
        f"| `{name}` | {meaning} | {source(name, 'events')} |" for name, meaning in MEANINGS["events"].items()
    ]
    return f"""# Metrics and events

{_MADE}

## Metrics

| metric | instrument | unit | meaning | source |
|---|---|---|---|---|
{_lines(rows)}

### Attributes of the metrics

| metric | attributes |
|---|---|
{_lines(carried)}

Histograms have the buckets that the conventions advise. Those of workflow durations begin at 1 s, so that a percentile
of shorter workflows says nothing; `configure()` adds smaller ones in a view, and so may you, if you make the meter
provider. Values are recorded when metrics are collected, not in a callback. They count every operation, sampled or not.
Names that the application chooses (of steps, rerankers, data sources and errors) take 100 values each on our own
metrics; further ones are counted as `__other__`. `metric_labels=("tenant", "feature")` is the default; each label has a
bounded number of values, and `user` and `session` are refused.

## Events

| event | meaning | source |
|---|---|---|
{_lines(events)}
"""


def limits_page() -> str:
    """Returns the page of all bounds, a table for each section of limits.py."""
    parts = []
    for bound in _bounds(Path(limits.__file__).read_text().splitlines()):
        if bound.section:
            room, _, about = bound.section.partition(": ")
            heading = f"## {about[:1].upper()}{about[1:]} (`{room}`)"
            parts.append(f"\n{heading}\n\n| bound | value | then, and why |\n|---|---|---|")
        value = f"{getattr(limits, bound.name):,}"
        parts.append(f"| `{bound.name}` | {value} | {' '.join(map(_sentence, bound.comments)).strip()} |")
    return f"""# Limits

Made from `limits.py` by `docs/scripts/reference.py`.

A bound protects the application's memory or time. Nothing alive is ever evicted, and nothing is left out silently: an
attribute, a counter or a log line says so.
{_lines(parts)}
"""


class _Bound(NamedTuple):
    """A bound. `section` is set on the first of a section; `comments` are those above it and beside it."""

    section: str
    name: str
    comments: list[str]


def _bounds(lines: list[str]) -> Iterator[_Bound]:
    """Yields the bounds of limits.py. A bound without a comment has that of the bound above it."""
    section, above = "", ""
    fresh: list[str] = []  # comment lines since the last bound or blank line
    for line, following in pairwise([*lines, ""]):
        if line.startswith("# "):
            fresh.append(line[2:])
            if not following:
                section, fresh = line[2:], []
        elif assigned := re.match(r"([A-Z][A-Z_0-9]+) = ", line):
            beside = (line if "  # " in line or not line.endswith("(") else following).partition("  # ")[2]
            above = " ".join(fresh) or above
            yield _Bound(section, assigned[1], [above if fresh or not beside else "", beside])
            section, fresh = "", []


def commands_page() -> str:
    """Returns the page of the command line: what `--help` prints."""
    root = click.Context(
        cli.main, info_name="otel-callbacks", terminal_width=100, **cli.main.context_settings
    )
    parts = [
        "# Commands",
        "Made from the commands themselves by `docs/scripts/reference.py`.",
        f"```\n{cli.main.get_help(root)}\n```",
    ]
    for name, command in sorted(cli.main.commands.items()):
        context = click.Context(command, info_name=name, parent=root, terminal_width=100)
        parts.append(f"## otel-callbacks {name}\n\n```\n{command.get_help(context)}\n```")
    return "\n\n".join(parts) + "\n"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    shown = text.replace("\n", "\\n").replace("|", "\\|")
    return f"`{shown}`"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.:' else '.'}" if text else ""


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()

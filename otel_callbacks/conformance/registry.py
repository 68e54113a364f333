"""Reads the conventions (`registry.json`) and our own names (`extensions.json`) into typed tables.

`registry.json` holds the GenAI conventions at the version it names, reduced to what a check needs, with the
name, kind and presence rules of `open-telemetry/semantic-conventions-conformance`. `extensions.json` holds
the names of our own namespaces and, per profile, the older or foreign spellings that the profile adds.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

DEFAULT_PROFILES = ("released_genai",)
OPERATION = "gen_ai.operation.name"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute: its type, its documented values, and the totals that include it."""

    type: str
    enum: tuple[str, ...] = ()
    subset_of: tuple[str, ...] = ()
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class SpanType:
    """The name, kind and attributes of one type of span.

    A span's name joins the values of those `name_from` attributes that it has, with spaces between them.
    The text of the conventions allows the `kinds_tolerated`, but the official check flags them.
    """

    operations: tuple[str, ...]
    kinds: tuple[str, ...]
    name_from: tuple[str, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    expected: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    kinds_tolerated: tuple[str, ...] = ()

    @property
    def declared(self) -> frozenset[str]:
        """Every attribute that the conventions list for this type."""
        return frozenset(self.required + self.expected + self.optional)


@dataclass(frozen=True, slots=True)
class MetricType:
    """An instrument: its kind, unit, value type ("int" or "double"), buckets and exact set of attributes."""

    instrument: str
    unit: str
    value: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    buckets: str | None = None
    not_for_operations: tuple[str, ...] = ()
    labels: bool = False  # carries the application's attribution labels


@dataclass(frozen=True, slots=True)
class EventType:
    """A log event; it may carry the attributes of the span type named by `attributes_of` ("*" for any type)."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    severity: int | None = None
    any_of: tuple[str, ...] = ()
    attributes_of: str | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """The conventions and our extensions under one set of profiles."""

    version: str
    namespaces: frozenset[str]
    attributes: Mapping[str, Attribute]
    prefixes: Mapping[str, Attribute]
    anywhere: frozenset[str]
    deprecated: Mapping[str, str | list[str] | None]
    deprecated_values: Mapping[str, Mapping[str, str]]
    expected_together: Mapping[str, str]
    inferred_operations: Mapping[str, str]
    operations: frozenset[str]
    spans: Mapping[str, SpanType]
    metrics: Mapping[str, MetricType]
    buckets: Mapping[str, tuple[float, ...]]
    events: Mapping[str, EventType]
    schemas: Mapping[str, Any] = field(repr=False)

    def attribute(self, name: str) -> Attribute | None:
        """Returns the attribute `name`, also if only its prefix is registered (`app.`); None if neither is."""
        known = self.attributes.get(name)
        return known or next((a for prefix, a in self.prefixes.items() if name.startswith(prefix)), None)

    def owns(self, name: str) -> bool:
        """Tells whether `name` is in a namespace that allows only registered names."""
        return name.partition(".")[0] in self.namespaces

    def replacement(self, name: str) -> str:
        """Returns what replaces the deprecated `name`, as a phrase for a message."""
        new = self.deprecated[name]
        names = [new] if isinstance(new, str) else new
        return f"use {', '.join(names)}" if names else "nothing replaces it"


def profile_names() -> tuple[str, ...]:
    """Returns the profiles whose spellings can be allowed."""
    return tuple(_read("extensions.json")["profiles"])


@lru_cache
def load(profiles: tuple[str, ...] = DEFAULT_PROFILES) -> Registry:
    """Returns the registry with our extensions and the spellings of `profiles`.

    Raises:
        ValueError: a profile is unknown.
    """
    base, ours = _read("registry.json"), _read("extensions.json")
    if unknown := set(profiles) - set(ours["profiles"]):
        raise ValueError(
            f"unknown profile {', '.join(sorted(unknown))}; known: {', '.join(ours['profiles'])}"
        )
    layers = [base, ours, *(ours["profiles"][name] for name in profiles)]
    attributes = {name: _attribute(a) for name, a in _merged(layers, "attributes").items()}
    return Registry(
        version=base["version"],
        namespaces=frozenset(base["namespaces"] + ours["namespaces"]),
        attributes=attributes,
        prefixes={prefix: _attribute(a) for prefix, a in _merged(layers, "prefixes").items()},
        anywhere=frozenset(ours["anywhere"]),
        deprecated=base["deprecated"],
        deprecated_values=base["deprecated_values"],
        expected_together=base["expected_together"],
        inferred_operations=base["inferred_operations"],
        operations=frozenset(attributes[OPERATION].enum) | frozenset(ours["operations"]),
        spans={name: SpanType(**_tuples(s)) for name, s in _merged_spans(layers).items()},
        metrics={name: MetricType(**_tuples(m)) for name, m in _merged(layers, "metrics").items()},
        buckets={name: tuple(bounds) for name, bounds in base["buckets"].items()},
        events={name: EventType(**_tuples(e)) for name, e in _merged(layers, "events").items()},
        schemas=base["message_schemas"],
    )


@lru_cache
def _read(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def _merged(layers: Iterable[Mapping[str, Any]], table: str) -> dict[str, Any]:
    """Merges the tables of all layers; the entries of a later layer replace those of an earlier one."""
    return {name: entry for layer in layers for name, entry in layer.get(table, {}).items()}


def _merged_spans(layers: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Merges as `_merged` does, but a layer may also add optional attributes to an earlier layer's span type."""
    spans: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for name, entry in layer.get("spans", {}).items():
            earlier = spans.get(name, {})
            spans[name] = {**earlier, **entry, "optional": [*earlier.get("optional", ()), *entry["optional"]]}
    return spans


def _attribute(entry: str | Mapping[str, Any]) -> Attribute:
    return Attribute(entry) if isinstance(entry, str) else Attribute(**_tuples(entry))


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Turns JSON lists into tuples, so that nobody can change the cached registry."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}

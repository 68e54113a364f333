"""The answer of `why` as a dictionary, without content."""

from collections.abc import Collection, Mapping
from typing import Any

from otel_callbacks.explore.answers.why import Why
from otel_callbacks.explore.as_json.facts import line


def why_facts(said: Why, *, content: bool = False, hidden: Collection[str] = ()) -> dict[str, Any]:
    """Returns the answer with its names cut; without the queries that missed, unless content is wanted.

    What runs have in common of the facts named in `hidden`, such as users, is left out, too.
    """
    document: dict[str, Any] = _cut(said.to_dict())
    for workflow in document["workflows"]:
        for part in [each for each in workflow.values() if isinstance(each, dict)]:
            if not content:
                part.pop("queries", None)
            common = part.get("in_common") or {}
            if "facts" in common:
                common["facts"] = [fact for fact in common["facts"] if not _names(fact, hidden)]
    return document


def _names(fact: Mapping[str, Any], hidden: Collection[str]) -> bool:
    beside = str(fact.get("adds_nothing_beside") or "").partition(" ")[0]
    return fact["name"] in hidden or beside in hidden


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return line(value)
    if isinstance(value, Mapping):
        return {name: _cut(content) for name, content in value.items()}
    return [_cut(each) for each in value] if isinstance(value, list | tuple) else value

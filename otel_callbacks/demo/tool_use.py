"""How the local model uses tools: which one comes next, and what its arguments are.

A tool is a function as the OpenAI protocol describes it: name, description, JSON schema of its parameters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks.demo.words import stems

Function = Mapping[str, Any]

_ENOUGH = 2
"""A tool is relevant if its name shares a word with the question, or its description and parameters two."""

_CLAUSE_END = re.compile(r"[,;:.?!](?:\s+(?:(?:and|then)\s+)?|$)|\s+(?:and|then)\s+")
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?!\.?\w)")
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)")
_MENU = re.compile(r"(\w+):\s*(\{.+\})", re.DOTALL)
_ENTRY = re.compile(r"['\"](\w+)['\"]:\s*['\"]([^'\"]*)")
_FAILURE = re.compile(r"\W*(?:\w+\s+){0,3}\w*error\b", re.IGNORECASE)


@dataclass(frozen=True)
class ToolCall:
    """A call the model asks for, with its arguments by parameter name."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class PastCall:
    """A call made since the question was asked, with the text of its result."""

    call: ToolCall
    result: str

    @property
    def failed(self) -> bool:
        """Whether the result starts by reporting an error, as in "Error: ..." or "Encountered error: ..."."""
        return _FAILURE.match(self.result) is not None


def next_call(
    question: str, functions: Sequence[Function], past: Sequence[PastCall], *, eager: bool
) -> ToolCall | None:
    """Choose the next call for a question, or None when no further tool is relevant.

    A call that failed is repeated once. Otherwise the most relevant tool not yet called comes next.

    Args:
        question: What the user asked.
        functions: The tools on offer.
        past: The calls made so far, in order.
        eager: Call the best tool even if it shares no word with the question.
    """
    names = {function["name"] for function in functions}
    if past and past[-1].failed and past[-1].call.name in names and _attempts(past) == 1:
        return past[-1].call
    called = {done.call.name for done in past}
    unused = [function for function in functions if function["name"] not in called]
    best = max(unused, key=lambda function: _relevance(function, question), default=None)
    if best is None or not (eager or _relevance(best, question) >= _ENOUGH):
        return None
    return call_of(best, question)


def _attempts(past: Sequence[PastCall]) -> int:
    return sum(done.call == past[-1].call for done in past)


def _relevance(function: Function, text: str) -> int:
    asked, name = set(stems(text)), set(stems(function["name"]))
    parameters = (function.get("parameters") or {}).get("properties", {})
    described = set(stems(" ".join([function.get("description") or "", *parameters])))
    return 2 * len(asked & name) + len(asked & described - name)


def call_of(function: Function, question: str) -> ToolCall:
    """Call a tool with arguments taken from the question."""
    clauses = [clause for clause in _CLAUSE_END.split(question) if clause.strip()] or [question]
    clause = max(clauses, key=lambda text: _relevance(function, text))
    focus = clause.strip() if _relevance(function, clause) else question
    arguments = fill(_parameters(function, question), question, focus)
    return ToolCall(function["name"], arguments if isinstance(arguments, dict) else {})


def _parameters(function: Function, question: str) -> Mapping[str, Any]:
    """Read the schema of the parameters, one of which may only be explained in the description.

    LlamaIndex's hand-off tool says there "Currently available agents: {'writer': 'Writes prose.'}". The entry
    that shares most words with the question becomes the value of the parameter `to_agent`.
    """
    schema: Mapping[str, Any] = function.get("parameters") or {}
    menu = _MENU.search(function.get("description") or "")
    entries = _ENTRY.findall(menu[2]) if menu else []
    if menu is None or not entries:
        return schema
    asked, listed = set(stems(question)), set(stems(menu[1]))
    chosen, _ = max(entries, key=lambda entry: len(asked & set(stems(" ".join(entry)))))
    properties = {
        name: {"const": chosen} if listed & set(stems(name)) else value
        for name, value in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


def fill(schema: Mapping[str, Any], text: str, focus: str | None = None) -> Any:
    """Build the value that a JSON schema describes from the words of a text.

    Required properties are filled: numbers with those of the text in order, choices with the one that shares
    most words with it, strings with a quotation, the word beside their name, or else all of `focus`.

    Args:
        schema: The schema; `$ref`, `anyOf`, `enum`, `const` and the six types are understood.
        text: Where values come from.
        focus: The part of the text that matters most; all of it without this.
    """
    return _Filler(schema.get("$defs", {}), text, focus or text).value(schema, "")


class _Filler:
    def __init__(self, definitions: Mapping[str, Any], text: str, focus: str) -> None:
        self._definitions, self._text, self._focus = definitions, text, focus
        self._numbers: Iterator[str] = iter(_NUMBER.findall(text))

    def value(self, schema: Mapping[str, Any], name: str) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choice(schema["enum"])
        match schema.get("type"):
            case "object":
                properties = schema.get("properties", {})
                wanted = [key for key in properties if key in schema.get("required", ())]
                return {key: self.value(properties[key], key) for key in wanted}
            case "array":
                return [self.value(schema.get("items", {}), name)]
            case "integer":
                return int(float(self._number(schema)))
            case "number":
                return float(self._number(schema))
            case "boolean":
                return bool(schema.get("default", False))
        return self._string(name)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" in schema:
            return self._resolved(self._definitions[schema["$ref"].rsplit("/", 1)[-1]])
        return self._resolved(schema["anyOf"][0]) if schema.get("anyOf") else schema

    def _number(self, schema: Mapping[str, Any]) -> Any:
        return next(self._numbers, schema.get("default", schema.get("minimum", 1)))

    def _choice(self, options: Sequence[Any]) -> Any:
        asked = set(stems(self._text))
        return max(options, key=lambda option: len(asked & set(stems(str(option)))))

    def _string(self, name: str) -> str:
        quoted = _QUOTED.search(self._focus)
        if quoted:
            return str(quoted[quoted.lastindex or 0])
        return _beside(name, self._text) or self._focus


def _beside(name: str, text: str) -> str | None:
    """Find the value a text gives to a parameter: "the module `json`" or "the json module" for `module`."""
    if not name:
        return None
    quotes = "[`'\"“”]?"
    after, before = rf"\b{re.escape(name)}\s+{quotes}([\w.]*\w)", rf"([\w.]*\w){quotes}\s+{re.escape(name)}\b"
    words = [word for pattern in (after, before) for word in re.findall(pattern, text, re.IGNORECASE)]
    return next((word for word in words if stems(word)), None)

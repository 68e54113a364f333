"""Chooses the local model's next tool call and its arguments.

A tool is a function as the OpenAI protocol describes it: name, description, JSON schema of its parameters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks.demo.words import stems

Function = Mapping[str, Any]

_MINIMAL_RELEVANCE = 2
"""A tool is relevant if its name shares a word with the question, or its description and parameters share two."""

_CLAUSE_END = re.compile(r"[,;:.?!](?:\s+(?:(?:and|then)\s+)?|$)|\s+(?:and|then)\s+")
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?!\.?\w)")
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)")
_CHOICES = re.compile(r"(\w+):\s*(\{.+\})", re.DOTALL)
_CHOICE = re.compile(r"['\"](\w+)['\"]:\s*['\"]([^'\"]*)")
_FAILURE = re.compile(r"\W*(?:\w+\s+){0,3}\w*error\b", re.IGNORECASE)


@dataclass(frozen=True)
class ToolCall:
    """A tool call that the model wants, with its arguments by parameter name."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class PastCall:
    """A tool call made since the question, with the text of its result."""

    call: ToolCall
    result: str

    @property
    def failed(self) -> bool:
        """Whether the result starts by reporting an error, such as "Error: ..." or "Encountered error: ..."."""
        return _FAILURE.match(self.result) is not None


def next_call(
    question: str, functions: Sequence[Function], past: Sequence[PastCall], *, eager: bool
) -> ToolCall | None:
    """Returns the next call for a question; None if no other tool is relevant.

    A failed call is repeated once. Otherwise the most relevant tool not yet called comes next.

    Args:
        question: The user's question.
        functions: The tools that may be called.
        past: The calls made so far, in order.
        eager: Calls the best tool even if it shares no word with the question.
    """
    names = {function["name"] for function in functions}
    if past and past[-1].failed and past[-1].call.name in names and _attempts(past) == 1:
        return past[-1].call
    called = {done.call.name for done in past}
    unused = [function for function in functions if function["name"] not in called]
    best = max(unused, key=lambda function: _relevance(function, question), default=None)
    if best is None or not (eager or _relevance(best, question) >= _MINIMAL_RELEVANCE):
        return None
    return call_of(best, question)


def _attempts(past: Sequence[PastCall]) -> int:
    return sum(done.call == past[-1].call for done in past)


def _relevance(function: Function, text: str) -> int:
    words, name = set(stems(text)), set(stems(function["name"]))
    parameters = (function.get("parameters") or {}).get("properties", {})
    description = set(stems(" ".join([function.get("description") or "", *parameters])))
    return 2 * len(words & name) + len(words & description - name)


def call_of(function: Function, question: str) -> ToolCall:
    """Returns a call of a tool with arguments taken from the question."""
    clauses = [clause for clause in _CLAUSE_END.split(question) if clause.strip()] or [question]
    clause = max(clauses, key=lambda text: _relevance(function, text))
    focus = clause.strip() if _relevance(function, clause) else question
    arguments = fill(_parameters(function, question), question, focus)
    return ToolCall(function["name"], arguments if isinstance(arguments, dict) else {})


def _parameters(function: Function, question: str) -> Mapping[str, Any]:
    """Returns the schema of the parameters; the description may list the choices for one of them.

    LlamaIndex's hand-off tool says there "Currently available agents: {'writer': 'Writes prose.'}". The entry
    that shares most words with the question becomes the value of the parameter `to_agent`.
    """
    schema: Mapping[str, Any] = function.get("parameters") or {}
    choices = _CHOICES.search(function.get("description") or "")
    entries = _CHOICE.findall(choices[2]) if choices else []
    if choices is None or not entries:
        return schema
    words, heading = set(stems(question)), set(stems(choices[1]))
    chosen, _ = max(entries, key=lambda entry: len(words & set(stems(" ".join(entry)))))
    properties = {
        name: {"const": chosen} if heading & set(stems(name)) else value
        for name, value in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


def fill(schema: Mapping[str, Any], text: str, focus: str | None = None) -> Any:
    """Builds the value that a JSON schema describes from the words of a text.

    Fills the required properties: numbers with those of the text in order, an `enum` with the entry that shares most
    words with the text, strings with a quotation, the word next to their name, or else all of `focus`.

    Args:
        schema: The schema; may use `$ref`, `anyOf`, `enum`, `const` and the six types.
        text: The text that the values come from.
        focus: The part of the text that matters most; by default all of it.
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
                required = [key for key in properties if key in schema.get("required", ())]
                return {key: self.value(properties[key], key) for key in required}
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
        words = set(stems(self._text))
        return max(options, key=lambda option: len(words & set(stems(str(option)))))

    def _string(self, name: str) -> str:
        quoted = _QUOTED.search(self._focus)
        if quoted:
            return str(quoted[quoted.lastindex or 0])
        return _word_next_to(name, self._text) or self._focus


def _word_next_to(name: str, text: str) -> str | None:
    """Returns the word next to a parameter's name: "the module `json`" and "the json module" give `json`."""
    if not name:
        return None
    quotes = "[`'\"“”]?"
    after, before = rf"\b{re.escape(name)}\s+{quotes}([\w.]*\w)", rf"([\w.]*\w){quotes}\s+{re.escape(name)}\b"
    words = [word for pattern in (after, before) for word in re.findall(pattern, text, re.IGNORECASE)]
    return next((word for word in words if stems(word)), None)

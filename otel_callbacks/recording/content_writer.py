"""Writes the content of one span in the conventions' shapes, as far as the policy and the allowance let it through."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from itertools import islice
from math import inf, isfinite
from typing import Any

from otel_callbacks import limits, semconv
from otel_callbacks.operations import (
    Data,
    Document,
    Media,
    Message,
    OtherPart,
    Part,
    Reasoning,
    ServerToolCall,
    ServerToolCallResponse,
    Text,
    ToolCall,
    ToolCallResponse,
    candidate_ranks,
)
from otel_callbacks.privacy.allowance import Allowance
from otel_callbacks.privacy.base64_data import size_and_hash
from otel_callbacks.privacy.json_values import JsonConverter, parse_json, to_json
from otel_callbacks.privacy.policy import ContentPolicy, Kind
from otel_callbacks.recording.message_history import REFERENCE_CHARACTERS, MessageHistory
from otel_callbacks.runs.sent_messages import SentMessages, Written

_KIND_OF_ROLE: dict[str, Kind] = {
    "system": "instructions",
    "developer": "instructions",
    "assistant": "answers",
    "tool": "tool_results",
}
# How many bytes of text can be hashed in the time that a byte of JSON, a byte of media, and a step of reading take.
_BYTES_PER_JSON_BYTE, _BYTES_PER_MEDIA_BYTE, _BYTES_PER_STEP = 20, 4, 4_000
_PLAIN_PARTS = (Text, Reasoning, ToolCall, ToolCallResponse)
_SCALARS = (str, int, float, bool)
_MESSAGE_OVERHEAD = 32  # characters of JSON around a message, or around a part of one
# What share of the allowance the JSON of a value may take, at each of three tries, before its quotes are escaped.
_SHARES_OF_JSON_IN_TEXT = (0.8, 0.4, 0.1)


class ContentWriter:
    """Writes content until the allowance of the span is used up. Its caller writes the most important content first.

    Args:
        policy: what content may be written.
        history: which messages are in full elsewhere, so that references are written; None writes whole messages.
        sent: the messages of the trace; what was written of them before is written again.

    Attributes:
        cut: the names of the attributes that are not complete.
        left_out: how many messages were not written.
    """

    def __init__(
        self, policy: ContentPolicy, history: MessageHistory | None = None, sent: SentMessages | None = None
    ) -> None:
        self._policy = policy
        self._history = history
        self._sent = None if policy.hashed else sent  # a hash takes of what all content of a span shares
        self._characters_left = _or_inf(policy.span_cap)
        self._steps = limits.SPAN_STEPS if policy.span_cap is not None else limits.CONTENT_STEPS_UNCAPPED
        self._hashable_bytes = limits.HASHED_BYTES_PER_SPAN
        self.cut: list[str] = []
        self.left_out = 0

    def value(self, attribute: str, kind: Kind, value: Any) -> Any:
        """Returns a text, or a tool's arguments or result; JSON in a text becomes an object, as the conventions ask."""
        if value is None or not self._policy.allows(kind):
            return None
        allowance = self._open()
        written = self._content(allowance, parse_json(value))
        self._close(attribute, allowance)
        return written

    def variables(self, variables: Mapping[str, Any]) -> dict[str, str]:
        """Returns the texts and numbers that filled in a prompt, each by the name of its attribute."""
        if not self._policy.allows("prompts"):
            return {}
        scalars = {name: value for name, value in variables.items() if type(value) in _SCALARS}
        written: dict[str, str] = {}
        for name, value in islice(scalars.items(), limits.PROMPT_VARIABLES):
            allowance = self._open()
            # as a field, so that the value under the name of a secret is removed
            converter = JsonConverter(self._policy.redactor, allowance)
            ((key, text),) = converter.convert({name: str(value)}).items()
            attribute = semconv.PROMPT_VARIABLE_PREFIX + key
            written[attribute] = self._hash(str(value)) if self._policy.hashed else text
            self._close(attribute, allowance)
        if len(scalars) > limits.PROMPT_VARIABLES:
            self.cut.append(semconv.PROMPT_VARIABLE_PREFIX)
        return written

    def definitions(self, attribute: str, tools: Sequence[Mapping[str, Any]] | None) -> Any:
        """Returns the definitions of the tools that a model may call."""
        if tools is None or not self._policy.allows("tool_definitions"):
            return None
        allowance = self._open()
        written = JsonConverter(self._policy.redactor, allowance, by_key=False).convert(list(tools))
        self._close(attribute, allowance)
        return written

    def instructions(self, attribute: str, message: Message | None) -> list[dict[str, Any]] | None:
        """Returns the parts of an agent's system message."""
        if message is None:
            return None
        allowance = self._open()
        written = self._message(message, allowance)
        self._close(attribute, allowance)
        return None if written is None else written["parts"]

    def messages(
        self, attribute: str, conversation: Sequence[Message] | None, finish_reason: str | None = None
    ) -> list[dict[str, Any]] | None:
        """Returns the first system message and as many of the newest messages as fit; None if none is allowed.

        `finish_reason` is for output messages that have none of their own; None for input messages.
        """
        if conversation is None:
            return None
        allowance, most = self._open(), _or_inf(self._policy.max_messages)
        rest = list(conversation)
        first: list[dict[str, Any] | None] = []
        if len(rest) > 1 and rest[0].role == "system":
            half = allowance.portion(0.5)
            first.append(self._message_once(rest.pop(0), half))
            allowance.settle(half, 0.5)
        newest: list[dict[str, Any] | None] = []
        while rest and len(first) + len(newest) < most and allowance.take_item(_MESSAGE_OVERHEAD):
            newest.append(self._message_once(rest.pop(), allowance))
        left_out = len(rest) + sum(message.skipped for message in conversation)
        self.left_out += left_out
        allowance.cut = allowance.cut or bool(left_out)
        self._close(attribute, allowance)
        written = [message for message in (*first, *reversed(newest)) if message is not None]
        for message in written if finish_reason is not None else ():
            message.setdefault("finish_reason", finish_reason)
        if self._history is not None:
            written = self._history.first_in_full(written)
        return written or None

    def documents(
        self, attribute: str, found: Sequence[Document] | None, candidates: Sequence[Document] = ()
    ) -> list[dict[str, Any]] | None:
        """Returns documents. The first ones get most of the allowance; half of it is shared out so that each has some.

        `candidates` are the documents that a reranker received; each document then has its rank among them, from 1.
        """
        if found is None or not self._policy.allows("documents"):
            return None
        before = candidate_ranks(found, candidates)
        allowance = self._open()
        kept = 0.0 if allowance.characters == inf else allowance.characters / 2 / max(1, len(found))
        written: list[dict[str, Any]] = []
        for number, document in enumerate(found, 1):
            if not allowance.take_item():
                break
            share = 1 - kept * (len(found) - number) / allowance.characters
            part = allowance.portion(share)
            written.append(self._document(document, before[number - 1], part))
            allowance.settle(part, share)
        self._close(attribute, allowance)
        return written

    def _open(self) -> Allowance:
        return Allowance(min(_or_inf(self._policy.cap), self._characters_left), self._steps)

    def _close(self, attribute: str, allowance: Allowance) -> None:
        if self._characters_left < inf:
            self._characters_left -= (
                min(_or_inf(self._policy.cap), self._characters_left) - allowance.characters
            )
        self._steps = allowance.steps
        if allowance.cut:
            self.cut.append(attribute)

    def _content(self, allowance: Allowance, value: Any) -> Any:
        if self._policy.hashed:
            allowance.take_steps(1)
            return self._hash(value)
        return JsonConverter(self._policy.redactor, allowance).convert(value)

    def _hash(self, value: Any) -> str:
        """Returns the hash and size of a value, to count equal values by; `<not hashed>` after too many values."""
        if self._hashable_bytes <= 0:
            return "<not hashed>"
        allowance = Allowance(limits.HASHED_JSON_CHARACTERS, limits.HASHED_JSON_STEPS)
        converter = JsonConverter(self._policy.redactor, allowance)
        text = value if type(value) is str else to_json(converter.convert(value))
        hashed = text[: limits.HASHED_CHARACTERS].encode("utf-8", "surrogatepass")
        self._hashable_bytes -= len(hashed) * (1 if text is value else _BYTES_PER_JSON_BYTE)
        self._hashable_bytes -= (limits.HASHED_JSON_STEPS - allowance.steps) * _BYTES_PER_STEP
        assert isinstance(self._policy.hash_key, bytes)
        digest = hmac.new(self._policy.hash_key, hashed, hashlib.sha256).hexdigest()
        return f"hmac-sha256:{digest[:32]} ({len(text):,} characters)"

    def _message_once(self, message: Message, allowance: Allowance) -> dict[str, Any] | None:
        """Returns a message; a reference if it is in full elsewhere, which takes fewer characters."""
        if self._history is None:
            return self._in_full(message, allowance)
        allowance.characters -= REFERENCE_CHARACTERS
        left, was_cut, allowance.cut = allowance.characters, allowance.cut, False
        written = self._in_full(message, allowance)
        cut, allowance.cut = allowance.cut, allowance.cut or was_cut
        if written is None:
            return None
        hashes = self._sent.hashes if self._sent is not None and self._known(message) is not None else {}
        known = None if cut else hashes.get(id(message))
        written = self._history.short(written, self._identity(message) if cut else None, known)
        if not cut and "hash" in written:
            hashes[id(message)] = written["hash"]
        if "hash" not in written:
            allowance.characters = left
        return written

    def _known(self, message: Message) -> Written | None:
        """Returns how a message was written before in this trace, under the same policy."""
        known = self._sent.written.get(id(message)) if self._sent is not None else None
        return known if known and known.message is message and known.policy is self._policy else None

    def _in_full(self, message: Message, allowance: Allowance) -> dict[str, Any] | None:
        """Returns a message in full: as it was written before, if it surely fits again."""
        known = self._known(message)
        if known is not None and known.fits(allowance.characters, allowance.steps):
            allowance.characters -= known.characters
            allowance.steps -= known.steps
            return {**known.shape}
        characters, steps = allowance.characters, allowance.steps
        was_cut, allowance.cut = allowance.cut, False
        written = self._message(message, allowance)
        if self._sent is not None and not allowance.cut and written is not None and _is_plain(message):
            took = 0.0 if characters == inf else characters - allowance.characters
            self._sent.note(Written(message, self._policy, {**written}, took, steps - allowance.steps))
        allowance.cut = allowance.cut or was_cut
        return written

    def _identity(self, message: Message) -> int | None:
        """Returns what identifies a message before it is cut; None if it holds more than texts and tool calls."""
        values = [_text_or_id(part) for part in message.parts]
        if any(type(value) is not str for value in values):
            return None
        return hash((id(self._policy), message.role, message.name, *values))

    def _message(self, message: Message, allowance: Allowance) -> dict[str, Any] | None:
        """Returns a message; None if it has parts and the policy allows none of them."""
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            if not allowance.take_item(_MESSAGE_OVERHEAD):
                break
            allowance.take_steps(1)  # the text in it
            if (written := self._part(part, message.role, allowance)) is not None:
                parts.append(written)
        if message.parts and not parts:
            return None
        shape: dict[str, Any] = {"role": message.role, "parts": parts}
        if message.name:
            shape["name"] = self._content(allowance, message.name)
        if message.finish_reason:
            shape["finish_reason"] = message.finish_reason
        return shape

    def _part(self, part: Part, role: str, allowance: Allowance) -> dict[str, Any] | None:
        allows = self._policy.allows
        match part:
            case ToolCall(name, call_id, arguments):
                with_arguments = arguments is not None and allows("tool_arguments")
                shape = {
                    "type": "tool_call",
                    "name": name,
                    "id": call_id,
                    "arguments": self._content(allowance, parse_json(arguments)) if with_arguments else None,
                }
                return {key: value for key, value in shape.items() if value is not None}
            case ToolCallResponse():
                return self._tool_response(part, role, allowance)
            case ServerToolCall(name, kind, fields, call_id):
                shown = self._fields(fields, allowance) if allows("tool_arguments") else {}
                shape = {"type": "server_tool_call", "name": name, "id": call_id}
                shape["server_tool_call"] = {**shown, "type": kind}
                return {key: value for key, value in shape.items() if value is not None}
            case ServerToolCallResponse(kind, fields, call_id):
                if not allows("tool_results"):
                    return None
                result = {**self._fields(fields, allowance), "type": kind}
                shape = {"type": "server_tool_call_response", "server_tool_call_response": result}
                return shape if call_id is None else {**shape, "id": call_id}
        if not allows(_KIND_OF_ROLE.get(role, "prompts")):
            return None
        return self._text_or_other(part, allowance)

    def _tool_response(
        self, part: ToolCallResponse, role: str, allowance: Allowance
    ) -> dict[str, Any] | None:
        """Returns the result of a tool; one that holds more than texts as a list of parts."""
        if not self._policy.allows("tool_results"):
            return None
        response: Any
        if part.parts:
            response = [
                self._part(each, role, allowance)
                for each in part.parts
                if allowance.take_item(_MESSAGE_OVERHEAD)
            ]
        else:
            response = self._content(allowance, parse_json(part.response))
        shape = {"type": "tool_call_response", "response": response}
        return shape if part.id is None else {**shape, "id": part.id}

    def _text_or_other(self, part: Part, allowance: Allowance) -> dict[str, Any] | None:
        match part:
            case Text(content):
                return {"type": "text", "content": self._content(allowance, content)}
            case Reasoning(content):
                return {"type": "reasoning", "content": self._content(allowance, content)}
            case Data(value):
                return {
                    "type": "text",
                    "content": self._hash(value) if self._policy.hashed else self._json(allowance, value),
                }
            case Media():
                return self._media(part, allowance)
            case OtherPart(kind, fields):
                return {**self._fields(fields, allowance), "type": kind}
        return None

    def _fields(self, fields: Mapping[str, Any], allowance: Allowance) -> dict[str, Any]:
        """Returns the fields of a provider's own block. JSON in a text becomes an object, as in a tool's arguments."""
        if self._policy.hashed:
            return {"content": self._content(allowance, fields.get("content", fields))}
        parsed = {key: parse_json(value) for key, value in fields.items()}
        written = self._content(allowance, parsed)
        return written if isinstance(written, dict) else {"content": written}

    def _json(self, allowance: Allowance, value: Any) -> str:
        """Returns a value as JSON in a text. Its quotes are escaped once more and take more characters."""
        for share in _SHARES_OF_JSON_IN_TEXT:
            inner = allowance.portion(share)
            text = to_json(JsonConverter(self._policy.redactor, inner).convert(value))
            if allowance.take_text(text):
                allowance.cut = allowance.cut or inner.cut
                return text
        allowance.cut = True
        return f"<{type(value).__name__}>"

    def _media(self, part: Media, allowance: Allowance) -> dict[str, Any]:
        """Returns where an image, sound or file is; for one inside the message, its size and hash."""
        data = part.content
        if data is None and part.uri is not None and part.uri.startswith("data:"):
            data = part.uri.partition(",")[2]
        shape: dict[str, Any] = {"modality": part.modality}
        if data is not None:
            size, digest = size_and_hash(data) if self._hashable_bytes > 0 else (len(data) * 3 // 4, None)
            self._hashable_bytes -= len(data) * _BYTES_PER_MEDIA_BYTE
            shape |= {"type": "blob", "content": "", "size": size}
            shape |= {} if digest is None else {"sha256": digest}
        elif part.uri is not None:
            shape |= {"type": "uri", "uri": self._content(allowance, part.uri)}
        else:
            shape |= {"type": "file", "file_id": part.file_id or ""}
        return shape if part.mime_type is None else {**shape, "mime_type": part.mime_type}

    def _document(self, document: Document, rank_before: int | None, allowance: Allowance) -> dict[str, Any]:
        shape = {
            "id": None if document.id is None else self._policy.label(document.id),
            "score": document.score if document.score is None or isfinite(document.score) else None,
            "content": None if document.content is None else self._content(allowance, document.content),
            "metadata": self._content(allowance, document.metadata) if document.metadata else None,
            "rank_before": rank_before,
        }
        return {key: value for key, value in shape.items() if value is not None}


def _is_plain(message: Message) -> bool:
    """Tells whether a message is written alike each time: a medium takes of what all content of a span shares."""
    return all(type(part) in _PLAIN_PARTS and not getattr(part, "parts", ()) for part in message.parts)


def _text_or_id(part: Part) -> Any:
    match part:
        case Text(content) | Reasoning(content):
            return content
        case ToolCallResponse(response):
            return response
        case ToolCall():
            return part.id
    return None


def _or_inf(limit: int | None) -> float:
    return inf if limit is None else limit

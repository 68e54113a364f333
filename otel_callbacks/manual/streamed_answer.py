"""Puts the chunks of an answer that a function streams together, so that no part of it vanishes."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from otel_callbacks.operations import Message, providers
from otel_callbacks.operations.payload import items, mapping_or_fields, text, word

_BLOCK_PIECES = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
    "compaction_delta": ("content", "content"),
}
"""Anthropic's pieces: where the text is in a piece, and in its block."""
_DELTA_PIECES = ("content", "reasoning_content", "reasoning", "refusal")


class StreamedAnswer:
    """The answer so far: from texts, OpenAI's chunks and events, Anthropic's events, Google's and Ollama's chunks."""

    def __init__(self) -> None:
        self._pieces: defaultdict[str, list[str]] = defaultdict(list)
        self._calls: defaultdict[Any, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._whole: Mapping[str, Any] = {}

    def add(self, chunk: Any) -> None:
        """Adds a chunk: a text, a mapping, or an object of a provider's client."""
        if isinstance(chunk, str):
            self._pieces["content"].append(chunk)
            return
        known = mapping_or_fields(chunk)
        response = mapping_or_fields(known.get("response"))
        kind = word(known.get("type"))
        if items(response.get("output")):  # the last event of OpenAI's Responses has all of it
            self._whole = response
        elif kind == "content_block_start":
            self._blocks[known.get("index")] = dict(mapping_or_fields(known.get("content_block")))
        elif kind == "content_block_delta":
            self._add_to_block(known.get("index"), mapping_or_fields(known.get("delta")))
        elif candidates := items(known.get("candidates")):
            content = mapping_or_fields(mapping_or_fields(candidates[0]).get("content"))
            for part in map(mapping_or_fields, items(content.get("parts"))):
                self._add_part(part)
        else:
            self._add_delta(known)

    def _add_to_block(self, index: Any, delta: Mapping[str, Any]) -> None:
        source, target = _BLOCK_PIECES.get(word(delta.get("type")) or "", ("", ""))
        piece = text(delta.get(source))
        if piece is not None:
            block = self._blocks.setdefault(index, {"type": "text"})
            before = block.get(target)
            block[target] = (before if isinstance(before, str) else "") + piece

    def _add_part(self, part: Mapping[str, Any]) -> None:
        last = self._blocks.get(len(self._blocks) - 1, {})
        if text(part.get("text")) and text(last.get("text")) and part.get("thought") == last.get("thought"):
            last["text"] += part["text"]
        else:
            self._blocks[len(self._blocks)] = dict(part)

    def _add_delta(self, known: Mapping[str, Any]) -> None:
        choices = items(known.get("choices"))
        choice = mapping_or_fields(choices[0]) if choices else known
        delta: Any = choice.get("delta") or choice.get("message")
        if isinstance(delta, str):
            delta = {"content": delta} if "reasoning" not in (word(known.get("type")) or "") else {}
        fields = mapping_or_fields(delta) or choice
        for key in _DELTA_PIECES:
            if (piece := text(fields.get(key))) is not None:
                self._pieces[key].append(piece)
        if text(fields.get("text")) and "content" not in fields:
            self._pieces["content"].append(fields["text"])
        for number, call in enumerate(map(mapping_or_fields, items(fields.get("tool_calls")))):
            called = mapping_or_fields(call.get("function"))
            collected = self._calls[call.get("index", number)]
            for key, value in (
                ("id", call.get("id")),
                *((key, called.get(key)) for key in ("name", "arguments")),
            ):
                if (piece := text(value)) is not None:
                    collected[key].append(piece)

    def messages(self, reason: str | None) -> list[Message] | None:
        """Returns the answer as a message, with its finish reason; None without one."""
        if self._whole:
            parts = providers.answer_parts(self._whole)
        else:
            joined: dict[str, Any] = {key: "".join(pieces) for key, pieces in self._pieces.items()}
            calls = [{key: "".join(pieces) for key, pieces in call.items()} for call in self._calls.values()]
            blocks = list(self._blocks.values())
            content = [*blocks, joined["content"]] if blocks and "content" in joined else blocks
            parts = list(
                providers.content_parts(
                    {**joined, "tool_calls": calls, **({"content": content} if blocks else {})}
                )
            )
        stopped = None if reason is None else providers.message_finish_reason(reason)
        return [Message("assistant", tuple(parts), None, stopped)] if parts else None

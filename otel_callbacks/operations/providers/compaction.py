"""Compaction: what an answer or a history says of a conversation that was made shorter."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otel_callbacks.limits import ITEMS_READ
from otel_callbacks.operations.operation import Inference
from otel_callbacks.operations.payload import is_a, items, mapping_or_fields, word
from otel_callbacks.operations.providers.payload_places import Layers
from otel_callbacks.operations.providers.usage_counts import token_count

_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
COMPACTION = "compaction"
"""The type of a block that is a summary, and the finish reason of a call that made one."""
MARKS = frozenset(("iterations", "context_management"))
"""The keys that tell of a compaction."""


def has_compaction(content: Any) -> bool:
    """Tells whether a message's content has a block that stands for a part of the conversation."""
    if is_a(content, str):
        return False
    return any(map(_is_compaction, map(mapping_or_fields, items(content)[:ITEMS_READ])))


def _is_compaction(block: Mapping[str, Any]) -> bool:
    """Tells whether a block has a summary: Anthropic's has no content if it failed, OpenAI's is encrypted."""
    return word(block.get("type")) == COMPACTION and block.get("content", "") is not None


def read_compaction(operation: Inference, found: Layers, reports: Layers, blocks: Sequence[Any]) -> None:
    """Marks a model call whose answer says that its conversation was made shorter.

    Anthropic also says how many tokens it removed, or how many each of its runs was sent: first the one that
    summarises, then the one that answers.

    Args:
        operation: the model call, with its usage.
        found: the layers of the answer's payload.
        reports: the usage reports in them.
        blocks: the blocks of the answer.
    """
    runs = list(_entries(reports, "iterations"))
    types = [word(run.get("type")) for run in runs]
    said = [mapping_or_fields(block) for block in blocks[:ITEMS_READ]]
    edits = [
        edit
        for fields in found
        if "context_management" in fields
        for edit in _entries([mapping_or_fields(fields["context_management"])], "applied_edits")
    ]
    compacted = any(map(_is_compaction, said)) or COMPACTION in (operation.finish_reasons or ())
    if COMPACTION in types and (compacted or not _failed(said)):
        following = types.index(COMPACTION) + 1
        operation.compaction_tokens_before = _sent(runs[following - 1])
        operation.compaction_tokens_after = _sent(runs[following]) if following < len(runs) else None
        compacted = True
    elif edits:
        _read_edits(operation, edits)
        compacted = True
    if compacted:
        operation.compacted = True


def _entries(holders: Layers, key: str) -> Iterator[Mapping[str, Any]]:
    for holder in holders:
        if key in holder:
            yield from map(mapping_or_fields, items(holder[key])[:ITEMS_READ])


def _failed(blocks: Sequence[Mapping[str, Any]]) -> bool:
    return any(word(block.get("type")) == COMPACTION for block in blocks)


def _read_edits(operation: Inference, edits: Sequence[Mapping[str, Any]]) -> None:
    """Adds up what the edits removed; the sum is unknown if a part of it is."""
    cleared = [token_count(edit.get("cleared_input_tokens")) for edit in edits]
    sent = operation.usage.input_tokens if operation.usage is not None else None
    counts = [count for count in cleared if count is not None]
    if sent is not None and len(counts) == len(cleared) and (removed := sum(counts)):
        operation.compaction_tokens_before, operation.compaction_tokens_after = sent + removed, sent


def _sent(run: Mapping[str, Any]) -> int | None:
    """Returns the input tokens of one run, which Anthropic counts beside those from and to the cache."""
    sent = 0
    for key in _INPUT:
        reported = run.get(key)
        if reported is None and key != "input_tokens":
            continue
        if (count := token_count(reported)) is None:
            return None
        sent += count
    return sent

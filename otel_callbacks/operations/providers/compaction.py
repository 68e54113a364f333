"""Compaction: what an answer or a history says of a conversation that was made shorter."""

from collections.abc import Mapping
from typing import Any

from otel_callbacks.limits import ITEMS_READ
from otel_callbacks.operations.operation import Inference
from otel_callbacks.operations.payload import is_a, items, mapping_or_fields, word
from otel_callbacks.operations.providers.usage_counts import token_count

_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_COMPACTION = "compaction"


def has_compaction(content: Any) -> bool:
    """Tells whether a message's content has a block that stands for a part of the conversation."""
    if is_a(content, str):
        return False
    blocks = map(mapping_or_fields, items(content)[:ITEMS_READ])
    return any(word(block.get("type")) == _COMPACTION for block in blocks)


def read_compaction(operation: Inference, content: Any, answer: Mapping[str, Any]) -> None:
    """Marks a model call whose answer says that its conversation was made shorter.

    Anthropic also says how many tokens it removed, or how many each of its runs was sent: first the one that
    summarises, then the one that answers.

    Args:
        operation: the model call, with its usage.
        content: the blocks of the answer.
        answer: the provider's details: `usage`, `context_management`.
    """
    edits = items(mapping_or_fields(answer.get("context_management")).get("applied_edits"))[:ITEMS_READ]
    iterations = items(mapping_or_fields(answer.get("usage")).get("iterations"))[:ITEMS_READ]
    runs = [mapping_or_fields(run) for run in iterations]
    types = [word(run.get("type")) for run in runs]
    if _COMPACTION in types:
        following = types.index(_COMPACTION) + 1
        operation.compaction_tokens_before = _sent(runs[following - 1])
        operation.compaction_tokens_after = _sent(runs[following]) if following < len(runs) else None
    elif edits:
        _read_edits(operation, edits)
    elif not has_compaction(content) and _COMPACTION not in (operation.finish_reasons or ()):
        return
    operation.compacted = True


def _read_edits(operation: Inference, edits: Any) -> None:
    cleared = [token_count(mapping_or_fields(edit).get("cleared_input_tokens")) for edit in edits]
    sent = operation.usage.input_tokens if operation.usage is not None else None
    if sent is not None and (removed := sum(count for count in cleared if count is not None)):
        operation.compaction_tokens_before, operation.compaction_tokens_after = sent + removed, sent


def _sent(run: Mapping[str, Any]) -> int | None:
    """Returns the input tokens of one run; Anthropic counts what was cached beside them."""
    counts = [count for key in _INPUT if (count := token_count(run.get(key))) is not None]
    return sum(counts) if counts else None

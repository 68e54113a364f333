"""How many of an agent's input tokens were its tools': their results, their definitions, the model's calls of them.

The provider counts the tokens of a whole prompt. They are dealt out to its parts by weight, in the prompt's order,
so that the parts always add up to what was billed, and so that it is known which of them were cached: the first.
How wrong the weights can be is told in `tokens`.
"""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from operator import attrgetter

from otel_callbacks.operations import PromptPart

OTHERS = "__other__"
"""Where the tools go that are beyond those told one by one."""
UNKNOWN = "unknown"
"""The name of a tool whose result does not say whose it is."""

_MAX_TOOLS = 256
_MAX_RESULTS = 10_000
_TOLD = 10


@dataclass(slots=True)
class ToolUse:
    """One tool's tokens among an agent's input.

    Attributes:
        calls: results of the tool that were sent.
        sent_once: tokens of results in the first model call that saw them.
        resent: tokens of the same results in all later model calls.
        cached: those of both that the provider read from its cache.
        definition: tokens of the tool's definition, over all model calls.
        call: tokens of the model's calls of the tool as they were sent back to it; writing them was output.
    """

    calls: int = 0
    sent_once: int = 0
    resent: int = 0
    cached: int = 0
    definition: int = 0
    call: int = 0

    @property
    def results(self) -> int:
        """Tokens of results, sent for the first time or again."""
        return self.sent_once + self.resent

    def add(self, other: "ToolUse") -> None:
        """Adds what was used elsewhere."""
        self.calls += other.calls
        self.sent_once += other.sent_once
        self.resent += other.resent
        self.cached += other.cached
        self.definition += other.definition
        self.call += other.call


_COLUMNS = tuple(each.name for each in fields(ToolUse))
_numbers = attrgetter(*_COLUMNS)


@dataclass(slots=True)
class ToolTokens:
    """What an agent and the agents below it spent on their tools.

    Like the other roll-ups it includes the agents below, once they are merged: their results, and their input in
    what the share is of. A result counts as sent again only by the agent that sent it before.
    """

    input_tokens: int = 0
    uses: dict[str, ToolUse] = field(default_factory=dict)
    _sent: set[Hashable] = field(default_factory=set)

    def prompt(
        self, parts: Sequence[PromptPart], input_tokens: int, cache_read_tokens: int = 0
    ) -> Mapping[tuple[str, str], int]:
        """Adds a model call of the agent.

        Args:
            parts: what was sent, in order.
            input_tokens: what the provider counted for it, cached tokens included.
            cache_read_tokens: how many of those were read from the cache.

        Returns:
            The call's tokens by tool and kind of part.
        """
        self.input_tokens += input_tokens
        found: defaultdict[tuple[str, str], int] = defaultdict(int)
        nth: defaultdict[Hashable, int] = defaultdict(int)
        sent: list[Hashable] = []
        for part, start, end in _dealt(parts, input_tokens):
            if part.kind == "other":
                continue
            tokens = end - start
            tool = self._row(part.tool or UNKNOWN)
            use = self.uses[tool]
            found[tool, part.kind] += tokens
            if part.kind == "definition":
                use.definition += tokens
            elif part.kind == "call":
                use.call += tokens
            else:
                use.cached += max(0, min(end, cache_read_tokens) - start)
                nth[part.key] += 1
                result = part.key, nth[part.key]  # some models give all calls the same id
                if result in self._sent:
                    use.resent += tokens
                else:
                    use.calls += 1
                    use.sent_once += tokens
                    sent.append(result)
        if len(self._sent) + len(sent) > _MAX_RESULTS:
            self._sent.clear()
        self._sent.update(sent)
        return found

    def merge(self, below: "ToolTokens") -> None:
        """Adds an agent that this one called."""
        self.input_tokens += below.input_tokens
        for tool, use in below.uses.items():
            self.uses[self._row(tool)].add(use)

    @property
    def tokens(self) -> int:
        """Input tokens that were results of tools."""
        return sum(use.results for use in self.uses.values())

    @property
    def share(self) -> float:
        """The part of the input that was results of tools, from 0 to 1; 0 if no input was counted."""
        return self.tokens / self.input_tokens if self.input_tokens else 0.0

    def table(self) -> dict[str, ToolUse]:
        """Every tool's use, the dearest first."""
        return dict(sorted(self.uses.items(), key=lambda row: (-row[1].results, row[0])))

    def to_json(self) -> str:
        """The ten dearest tools, and the rest in one row, as JSON."""
        told: dict[str, ToolUse] = {}
        for tool, use in self.table().items():
            row = tool if len(told) < _TOLD else OTHERS
            told.setdefault(row, ToolUse()).add(use)
        rows = {tool: dict(zip(_COLUMNS, _numbers(use), strict=True)) for tool, use in told.items()}
        return json.dumps(rows, ensure_ascii=False)

    def _row(self, tool: str) -> str:
        """The row of a tool, which is made if there is room."""
        if tool not in self.uses:
            tool = tool if len(self.uses) < _MAX_TOOLS else OTHERS
            self.uses.setdefault(tool, ToolUse())
        return tool


def _dealt(parts: Sequence[PromptPart], tokens: int) -> Iterator[tuple[PromptPart, int, int]]:
    """Each part with its borders in the whole prompt: which token is its first, and which the next part's.

    They are rounded, and a part gets what lies between them: so none is off by a whole token, and all add up.
    """
    weights = list(accumulate([part.weight for part in parts]))
    whole = weights[-1] if weights else 0.0
    if not whole:
        return iter(())
    ends = [round(tokens * (weight / whole)) for weight in weights]
    return zip(parts, (0, *ends), ends, strict=False)

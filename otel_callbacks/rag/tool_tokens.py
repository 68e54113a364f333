"""How many of an agent's input tokens its tools took: their results, their definitions, the model's calls of them.

The provider counts the tokens of a whole prompt. They are shared out to its parts by weight, in the prompt's order. So
the parts always add up to what was billed, and the first ones are those that were cached. `token_estimate.py` says how
wrong the weights can be.
"""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from operator import attrgetter

from otel_callbacks import limits
from otel_callbacks.operations import PromptPart

OTHERS = "__other__"
"""The row in which further tools are added up."""
UNKNOWN = "unknown"
"""The name of the tool for a result that does not name its tool."""


@dataclass(slots=True)
class ToolUse:
    """The tokens that one tool took of an agent's input.

    Attributes:
        calls: results of the tool that were sent.
        sent_once: tokens of results in the first model call that saw them.
        resent: tokens of the same results in all later model calls.
        cached: how many of both the provider read from its cache.
        definition: tokens of the tool's definition, over all model calls.
        call: tokens of the model's calls of the tool, when they were sent back to it as input.
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
        """Adds the tokens of another row."""
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

    Like the other totals it includes the agents below, once they are added: their results, and their input in the
    denominator of `share`. A result counts as resent only by the agent that sent it before.
    """

    input_tokens: int = 0
    uses: dict[str, ToolUse] = field(default_factory=dict)
    _sent_results: set[Hashable] = field(default_factory=set)

    def add_model_call(
        self, parts: Sequence[PromptPart], input_tokens: int, cache_read_tokens: int = 0
    ) -> Mapping[tuple[str, str], int]:
        """Adds the prompt of one model call of the agent.

        Args:
            parts: what was sent, in order.
            input_tokens: how many tokens the provider counted, cached ones included.
            cache_read_tokens: how many of those were read from the cache.

        Returns:
            The call's tokens by tool and kind of part.
        """
        self.input_tokens += input_tokens
        by_tool_and_kind: defaultdict[tuple[str, str], int] = defaultdict(int)
        occurrences: defaultdict[Hashable, int] = defaultdict(int)
        sent: list[Hashable] = []
        for part, start, end in _token_ranges(parts, input_tokens):
            if part.kind == "other":
                continue
            tokens = end - start
            tool = self._row_of(part.tool or UNKNOWN)
            use = self.uses[tool]
            by_tool_and_kind[tool, part.kind] += tokens
            if part.kind == "definition":
                use.definition += tokens
            elif part.kind == "call":
                use.call += tokens
            else:
                use.cached += max(0, min(end, cache_read_tokens) - start)
                occurrences[part.key] += 1
                result = part.key, occurrences[part.key]  # some models give all calls the same id
                if result in self._sent_results:
                    use.resent += tokens
                else:
                    use.calls += 1
                    use.sent_once += tokens
                    sent.append(result)
        if len(self._sent_results) + len(sent) > limits.TOOL_RESULTS:
            self._sent_results.clear()
            limits.log_reached("TOOL_RESULTS", "results that an agent sends again count as sent once")
        self._sent_results.update(sent)
        return by_tool_and_kind

    def add_agent(self, below: "ToolTokens") -> None:
        """Adds what an agent spent that this one called."""
        self.input_tokens += below.input_tokens
        for tool, use in below.uses.items():
            self.uses[self._row_of(tool)].add(use)

    @property
    def tokens(self) -> int:
        """How many input tokens were results of tools."""
        return sum(use.results for use in self.uses.values())

    @property
    def share(self) -> float:
        """What part of the input was results of tools, from 0 to 1; 0 if no input was counted."""
        return self.tokens / self.input_tokens if self.input_tokens else 0.0

    def table(self) -> dict[str, ToolUse]:
        """Returns the row of every tool, the most expensive first."""
        return dict(sorted(self.uses.items(), key=lambda row: (-row[1].results, row[0])))

    def to_json(self) -> str:
        """Returns the ten most expensive tools, and the others in one row, as JSON."""
        rows: dict[str, ToolUse] = {}
        for tool, use in self.table().items():
            row = tool if len(rows) < limits.TOOL_ROWS_RECORDED else OTHERS
            rows.setdefault(row, ToolUse()).add(use)
        cells = {row: dict(zip(_COLUMNS, _numbers(use), strict=True)) for row, use in rows.items()}
        return json.dumps(cells, ensure_ascii=False)

    def _row_of(self, tool: str) -> str:
        """Returns the name of a tool's row, and makes the row if there is room."""
        if tool not in self.uses:
            tool = tool if len(self.uses) < limits.TOOL_ROWS else OTHERS
            self.uses.setdefault(tool, ToolUse())
        return tool


def _token_ranges(parts: Sequence[PromptPart], tokens: int) -> Iterator[tuple[PromptPart, int, int]]:
    """Yields each part with its range in the whole prompt: its first token, and the first token of the next part.

    The borders are rounded, not the parts: no part is off by a whole token, and all add up.
    """
    weights = list(accumulate([part.weight for part in parts]))
    whole = weights[-1] if weights else 0.0
    if not whole:
        return iter(())
    ends = [round(tokens * (weight / whole)) for weight in weights]
    return zip(parts, (0, *ends), ends, strict=False)

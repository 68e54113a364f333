"""How many of an agent's input tokens its tools took: their results, their definitions, the model's calls of them.

The provider counts the tokens of a whole prompt. They are shared out by weight to the tools and to everything else. So
the shares always add up to what was billed. The cached tokens are the first of the prompt. `token_estimate.py` says how
wrong the weights can be.
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from json.encoder import encode_basestring as _quoted
from operator import attrgetter, itemgetter

from otel_callbacks import limits
from otel_callbacks.rag.weighed_prompt import WeighedPrompt

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
_CELLS = json.dumps(dict.fromkeys(_COLUMNS, 0)).replace("0", "%d")
_IDENTITY = itemgetter(1)  # of a result


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
        self, prompt: WeighedPrompt, input_tokens: int, cache_read_tokens: int = 0
    ) -> Mapping[tuple[str, str], int]:
        """Adds the prompt of one model call of the agent.

        Args:
            prompt: what was sent.
            input_tokens: how many tokens the provider counted, cached ones included.
            cache_read_tokens: how many of those were read from the cache.

        Returns:
            The call's tokens by tool and kind of part.
        """
        self.input_tokens += input_tokens
        by_tool_and_kind: dict[tuple[str, str], int] = {}
        if not (prompt.tools or prompt.definitions) or not prompt.weight:
            return by_tool_and_kind
        cached = min(1.0, cache_read_tokens / input_tokens) if input_tokens else 0.0
        new = self._take_new(prompt)
        for name, kind, tokens in prompt.shares(input_tokens):
            tool = name or UNKNOWN
            use = self.uses.get(tool)
            if use is None:
                tool = self._row_of(tool)
                use = self.uses[tool]
            group = tool, kind
            by_tool_and_kind[group] = by_tool_and_kind.get(group, 0) + tokens
            if kind == "definition":
                use.definition += tokens
            elif kind == "call":
                use.call += tokens
            else:
                results, weights = prompt.tools[name].sums[-1], new.get(name, ())
                once = round(tokens * sum(weights) / results) if results else 0
                use.calls += len(weights)
                use.sent_once += once
                use.resent += tokens - once
                if cached:
                    use.cached += round(tokens * prompt.cached_part(name, cached))
        return by_tool_and_kind

    def _take_new(self, prompt: WeighedPrompt) -> Mapping[str | None, Sequence[int]]:
        """Returns the weights of the results that no call has sent before, by tool, and notes that this one has."""
        unsent = prompt.take_unsent()
        new: dict[str | None, list[int]] = {}
        for tool, identity, weight in unsent:
            if identity not in self._sent_results:
                new.setdefault(tool, []).append(weight)
        if len(self._sent_results) + len(unsent) > limits.TOOL_RESULTS:
            self._sent_results.clear()
            limits.log_reached("TOOL_RESULTS", "results that an agent sends again count as sent once")
        self._sent_results.update(map(_IDENTITY, unsent))
        return new

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
        ranked = self.table()
        rows = dict(islice(ranked.items(), limits.TOOL_ROWS_RECORDED))
        if len(ranked) > len(rows):
            others = ToolUse()
            for tool, use in ranked.items():
                if tool not in rows or tool == OTHERS:
                    others.add(use)
            rows[OTHERS] = others
        cells = [f"{_quoted(tool)}: {_CELLS % _numbers(use)}" for tool, use in rows.items()]
        return f"{{{', '.join(cells)}}}"

    def _row_of(self, tool: str) -> str:
        """Returns the name of a tool's row, and makes the row if there is room."""
        if tool not in self.uses:
            tool = tool if len(self.uses) < limits.TOOL_ROWS else OTHERS
            self.uses.setdefault(tool, ToolUse())
        return tool

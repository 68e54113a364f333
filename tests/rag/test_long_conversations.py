"""A call costs as much late in a conversation, or in a trace, as early in it; counted in bytecodes."""

from collections.abc import Callable

import llama_fakes
import long_conversations
import pytest
from long_conversations import Laps


@pytest.mark.parametrize(
    ("run", "turns", "early", "late"),
    [
        (long_conversations.langchain_agent, 101, 10, 100),
        pytest.param(long_conversations.llama_index_agent, 51, 10, 50, marks=llama_fakes.IGNORED),
        (long_conversations.retrievals, 121, 10, 120),
    ],
)
def test_the_last_turns_cost_no_more_than_the_first(
    run: Callable[[int], Laps], turns: int, early: int, late: int
) -> None:
    laps = run(turns)
    assert laps[late] <= 1.05 * laps[early]

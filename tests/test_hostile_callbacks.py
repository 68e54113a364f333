"""Whatever is handed to callbacks, in whatever order: applications do not notice, and the telemetry is valid."""

import logging
import re
from collections.abc import Iterator
from random import Random

import pytest
from hostile import Draw, Surface, play, slowest
from hostile_langchain import LangChainSurface
from hostile_llama_index import LlamaIndexSurface
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from llama_fakes import IGNORED, untouched_settings  # noqa: F401 - a fixture

from otel_callbacks import ContentPolicy
from otel_callbacks.guard import faults

pytestmark = IGNORED

BUDGET = 0.005  # seconds for one callback
SURFACES: dict[str, Surface] = {"langchain": LangChainSurface(), "llama_index": LlamaIndexSurface()}
POLICIES = {
    "off": ContentPolicy("none"),
    "on": ContentPolicy("both"),
    "hashed": ContentPolicy("both", hashed=True, hash_key="0123456789abcdef"),
    "redacting": ContentPolicy("both", redact=("personal", re.compile("hello"))),
}


@pytest.fixture(autouse=True)
def faults_do_not_raise() -> None:
    """As in an application: a fault is counted, and logged once."""
    faults.strict = False


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that were logged."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("content", POLICIES)
@pytest.mark.parametrize("surface", SURFACES)
def test_any_calls_in_any_order(surface: str, content: str, logged: list[str]) -> None:
    before = faults.count

    @settings(
        max_examples=25,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.randoms(use_true_random=False), st.integers(1, 30))
    def play_some(random: Random, calls: int) -> None:
        play(SURFACES[surface], SURFACES[surface].plan(Draw(random), calls), POLICIES[content])

    play_some()
    assert faults.count == before
    assert [line for line in logged if "have no price" not in line] == []


@pytest.mark.parametrize("surface", SURFACES)
def test_no_call_takes_long(surface: str, logged: list[str]) -> None:
    before = faults.count
    for seed, content in enumerate(POLICIES.values()):
        plan = SURFACES[surface].plan(Draw(Random(seed)), 500)
        seconds, call = slowest(SURFACES[surface], plan, content, BUDGET)
        assert seconds < BUDGET, call and call.method
    assert faults.count == before
    assert [line for line in logged if "have no price" not in line] == []

"""Calls the callbacks with hostile payloads in random order, a million times; the tests run a short form of this.

    python benchmarks/fuzz.py [--events 1000000] [--seed 0]

Half of the calls are LangChain's, half LlamaIndex's, under four content policies. The exit status is 1 if a call
raised, a span stayed open, an export could not be encoded, an object was changed, a fault was counted, a line was
logged twice, or a call took longer than 5 ms each time it was repeated.
"""

import argparse
import logging
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
sys.path.append(str(Path(__file__).parent.parent / "tests" / "recording"))

from hostile import Draw, slowest
from test_hostile_callbacks import POLICIES, SURFACES

from otel_callbacks import prices
from otel_callbacks.runtime.faults import faults

CALLS = 400  # of one sequence
BUDGET = 0.005  # seconds for one call


class Lines(logging.Handler):
    """Counts the lines that are logged, except those about a missing price."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if "have no price" not in (line := record.getMessage()) and "already shutdown" not in line:
            self.seen[line] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # the frameworks warn about how the components are made
    lines = Lines()
    logging.basicConfig(handlers=[lines], level=logging.WARNING)
    prices.ready(60)
    began, made, seed, wrong = time.monotonic(), 0, arguments.seed, []
    longest = dict.fromkeys(SURFACES, 0.0)
    ways = [(surface, policy) for policy in POLICIES for surface in SURFACES]
    while made < arguments.events:
        surface, policy = ways[seed % len(ways)]
        plan = SURFACES[surface].plan(Draw(Random(seed)), CALLS)
        try:
            seconds, call = slowest(SURFACES[surface], plan, POLICIES[policy], BUDGET)
        except Exception as error:
            wrong.append(f"seed {seed}, {surface}, {policy}: {error!r:.500}")
        else:
            longest[surface] = max(longest[surface], seconds)
            if seconds > BUDGET and call is not None:
                wrong.append(f"seed {seed}, {surface}, {policy}: {call.method} took {seconds * 1e3:.1f} ms")
        made, seed = made + CALLS, seed + 1
    print(f"{made:,} calls in {time.monotonic() - began:.0f} s, {faults.count} faults, {len(wrong)} wrong")
    print("longest call:", {surface: f"{seconds * 1e3:.1f} ms" for surface, seconds in longest.items()})
    print(*wrong, *(f"logged {count} times: {line}" for line, count in lines.seen.items()), sep="\n")
    return 1 if wrong or faults.count or any(count > 1 for count in lines.seen.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

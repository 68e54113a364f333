"""Measures how often `why` finds what was planted in a fleet of runs, and how often it claims what is not there.

    python benchmarks/why.py [--spans 100000] [--planted 20] [--without 200] [--processes 2]

Each fleet is drawn with another seed, see `tests/support/fleets.py`: so many for each cause, and so many without
one, all with the decoys. The cause must come first in 95 % of the planted fleets, and anything at all may be claimed in
5 % of those without a cause. The CPU time is that of `why` over the traces in memory, which are read already.
"""

import argparse
import sys
import time
from collections import Counter
from multiprocessing import Pool
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from fleets import CAUSES, Fleet, claims, is_first

from otel_callbacks.explore import why

SPANS_PER_RUN = 11


def ask(case: tuple[int, str | None, int]) -> tuple[str | None, bool, list[str], float]:
    """Returns the cause, whether it came first, all claims, and the CPU time of `why` in seconds."""
    seed, cause, runs = case
    trees = list(Fleet(seed, cause).trees(runs))
    begin = time.process_time()
    said = why(trees)
    took = time.process_time() - begin
    return cause, bool(cause and is_first(said, cause)), claims(said), took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--planted", type=int, default=20, help="fleets for each cause")
    parser.add_argument("--without", type=int, default=200, help="fleets without a cause")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    runs = given.spans // SPANS_PER_RUN
    cases = [(seed, cause, runs) for cause in CAUSES for seed in range(given.planted)]
    cases += [(10_000 + seed, None, runs) for seed in range(given.without)]
    asked, first, claimed, times, wrong = Counter(), Counter(), 0, [], Counter()
    with Pool(given.processes) as pool:
        for cause, is_right, said, took in pool.imap_unordered(ask, cases):
            asked[cause] += 1
            first[cause] += is_right
            times.append(took)
            if cause is None and said:
                claimed += 1
                wrong.update(said)
            if cause and not is_right:
                print(f"missed: {cause}: {said[:6]}", flush=True)
    for cause in CAUSES:
        print(f"{cause}: first in {first[cause]} of {asked[cause]}")
    print(f"without a cause: something claimed in {claimed} of {asked[None]} {dict(wrong.most_common(8))}")
    print(f"why: {sum(times) / len(times):.1f} s CPU on average, {max(times):.1f} s at most")


if __name__ == "__main__":
    main()

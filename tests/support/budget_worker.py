"""A process that makes model calls until its shared budget refuses them; prints how many it made."""

import sys
import time

from otel_callbacks import Budget, BudgetExceeded, inference
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder

PRICES = {"prices": {"m-1": {"input": 2, "output": 10}}}  # a call costs 0.0004 USD


def main(store: str, usd: str, ready: str) -> None:
    budget = Budget(usd=usd, per="total", enforce=True, store=store, reserve_usd="0.0004")
    ours = recorder(prices=PRICES, budgets=[budget])
    set_process_recorder(main, lambda: ours)
    print(ready, flush=True)
    sys.stdin.readline()  # until all processes are there
    calls = refused = 0
    while refused < 3:
        try:
            with inference("m-1", provider="openai") as call:
                calls += 1
                call.usage(input_tokens=100, output_tokens=20)
                time.sleep(0.001)  # a call takes time; others are made meanwhile
            refused = 0
        except BudgetExceeded:
            refused += 1
    print(calls, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

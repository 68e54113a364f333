"""Asks two questions in a pool: python pools.py KIND. Each kind of pool takes the trace along in its own way."""

import multiprocessing
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from pool_tasks import ask, ask_and_flush

from otel_callbacks import attribution, workflow
from otel_callbacks.propagation import carry, extract, inject


def processes(method: str) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        list(pool.map(carry(ask), "ab"))


def loky() -> None:
    from joblib import Parallel, delayed

    carried = carry(ask_and_flush)
    Parallel(n_jobs=2)(delayed(carried)(question) for question in "ab")


def with_ray() -> None:
    import ray

    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)

    @ray.remote
    @extract(lambda question, trace: trace, labels=["tenant"])
    def remote(question: str, trace: dict) -> None:
        ask_and_flush(question)

    ray.get([remote.remote(question, inject({}, labels=["tenant"])) for question in "ab"])
    ray.shutdown()


def threads() -> None:
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(carry(ask), "ab"))


def instrumented_threads() -> None:
    from opentelemetry.instrumentation.threading import ThreadingInstrumentor

    ThreadingInstrumentor().instrument()
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(ask, "a"))
    thread = threading.Thread(target=ask, args="b")
    thread.start()
    thread.join()


KINDS = {
    "fork": lambda: processes("fork"),
    "spawn": lambda: processes("spawn"),
    "loky": loky,
    "Ray": with_ray,
    "threads": threads,
    "instrumented threads": instrumented_threads,
}

if __name__ == "__main__":
    with attribution(tenant="acme"), workflow("fan out"):
        KINDS[sys.argv[1]]()

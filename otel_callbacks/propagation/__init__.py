"""Trace context and labels across processes, threads and queues: over the propagators that the application has set.

`inject` writes into a carrier, `extract` reads it on the other side, `carry` takes the context along with a function
and `share_labels` lets labels travel with the requests of others' instrumentations. The room may import `manual` and
what is below it, but no framework. Open `carriers/texts.py` first; `docs/across_processes.md` has lines for each
scenario.
"""

from otel_callbacks.carriers.carrying import carry
from otel_callbacks.carriers.texts import environment, inject
from otel_callbacks.propagation.extracting import extract
from otel_callbacks.propagation.label_sharing import share_labels

__all__ = ["carry", "environment", "extract", "inject", "share_labels"]

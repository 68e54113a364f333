"""Runs: operations in progress, and which of them the calling code is in.

Keeps the open runs of each tracer provider. Keeps the current span right, although frameworks start and end a run in
different copies of the context. May import `limits` and `runtime`. Open `run.py` first: it defines a run. Then
`current_span.py` for what stands in the context, and `surroundings.py` for how a new run finds its parent.
"""

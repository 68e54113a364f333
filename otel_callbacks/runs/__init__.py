"""Runs: operations in progress, and which of them the calling code is in.

Keeps the open runs of a tracer provider, and keeps the current span right when runs start and end in different copies
of a context. May import `operations` and `runtime`. Open `current_span.py` first.
"""

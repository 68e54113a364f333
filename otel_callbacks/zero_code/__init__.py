"""Tracing without a line of code: `opentelemetry-instrument python app.py` finds the room by its entry point.

May import the rooms below, and `opentelemetry.instrumentation` (the extra `zero-code`). Open `instrumentor.py`. What
would be an argument in code is an environment variable here, see docs/options.md.
"""

"""Turns operations into telemetry: spans, metrics and events.

May import `operations`, `runs`, `privacy`, `cost` and `rag`, and knows no framework. Open `recorder.py` first: a
handler starts, completes and ends runs there; `end_of_run.py` says what the end of one does.
"""

"""Turns operations into telemetry: spans, metrics and events. Knows no framework.

May import `limits`, `semconv`, `runtime`, `operations`, `runs`, `privacy`, `cost`, `rag` and `profiles`. Open
`recorder.py` first: a handler starts, completes and ends runs there. `end_of_run.py` then writes the span attributes
(`span_attributes.py`), the content (`content_recording.py`), the metrics (`metrics.py`) and the totals.
"""

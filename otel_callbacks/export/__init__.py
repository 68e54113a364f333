"""Builds the OpenTelemetry SDK and delivers finished spans, events and metrics; the application never waits for it.

May import the rooms below: `privacy`, `cost`, `profiles`, `recording`, and of `explore` the trace file and the traces
in memory.
Open `configure.py` first: it decides where each signal goes. `routes.py` has what was set up before, `deliveries.py`
what sends to each destination, `destinations.py` which of them are the same, `own_providers.py` the SDK's providers.
`outbox.py` has the queue, which sends again what was not taken, `signals.py` what feeds it, `answers.py` and
`http_answers.py` how a destination answered, `delivery_metrics.py` what became of it all, `back_ends.py` where a
back end is by its name, `profiled_spans.py` what a destination's profiles add, `resources.py` what keeps credentials
out of the resource, `telemetry.py` the object that `configure` returns. `keep.py` says which traces are exported,
`process_end.py` sends what waits where a process ends without its exit functions.
"""

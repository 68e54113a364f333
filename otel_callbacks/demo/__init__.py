"""The demo: a local model server, a corpus every machine has, and jobs worth tracing; no account needed."""

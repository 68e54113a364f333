"""Trace files, OTLP JSON Lines: written by this process, read back, and sent to an endpoint."""

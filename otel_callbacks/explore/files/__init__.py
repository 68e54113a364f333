"""Writes, reads and replays trace files, which are OTLP JSON Lines."""

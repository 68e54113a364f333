"""Writes, reads, replays and erases from trace files, which are OTLP JSON Lines."""

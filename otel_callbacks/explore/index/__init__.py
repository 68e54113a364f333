"""Indexes many traces in SQLite, from the memory of this process or from trace files."""

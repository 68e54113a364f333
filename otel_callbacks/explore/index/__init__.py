"""Many traces, to be asked for: a database of spans, filled from this process's ring or from trace files."""

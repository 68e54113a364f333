"""What a run waited for: its steps as bare times, the critical path through them, and the run replayed with a change.

Open `critical.py` first. `nodes.py` makes the steps of a trace, whose times fit into each other; `replay.py` says how
long the run would have taken.
"""

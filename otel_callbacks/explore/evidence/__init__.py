"""What `why` keeps of each trace: the critical path, the calls, facts, spending and searches of its outermost run.

Open `runs.py` first. `nodes.py` makes the spans' times fit into each other, `critical.py` finds the path through them,
and `replay.py` says how long the run would have taken with a change.
"""

"""What makes some runs of a workflow slow, expensive or failing: figures over many traces, no pictures.

Open `slow.py` first. `groups.py` chooses which runs are compared and what each weighs, `contributions.py` says what
each kind of step adds, `in_common.py` what the runs have in common. `statistics.py` holds the arithmetic.
"""

"""What stands between the package and the Python process it runs in.

Catches our own faults (`faults.py`), keeps locks and tables right after a fork (`fork.py`), tells in which thread and
task code runs (`execution_context.py`), and runs functions inside a scope (`scopes.py`). This room is on the ground: it
imports nothing else of the package. Open `faults.py` first.
"""

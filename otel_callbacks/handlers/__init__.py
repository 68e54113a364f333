"""What the handlers of both frameworks share: their arguments, `handler.last_trace`, and copies of a handler.

`options.py`, to open first, checks the arguments and makes the recorder; `option_variables.py` reads them from the
environment. May import the rooms below: `privacy`, `cost`, `profiles`, `recording`, and the traces in memory of
`explore`.
"""

"""What travels with a message or a function to another thread or process: trace context, baggage, labels.

`texts.py`, to open first, reads and writes carriers such as headers; `carrying.py` takes the whole context along. Both
frameworks use them, and the public front is `propagation/`. May import the rooms below: `runs`, `privacy`, `cost`.
"""

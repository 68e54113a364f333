"""`otel-callbacks doctor`: sends a test trace along the way that real ones take, and says what is wrong on it.

May import the rooms below: `manual`, `llama_index` and `export`, and what those are made of. Open `checks.py` first: it
has the order of the checks. `probe.py` asks a destination why it takes nothing.
"""

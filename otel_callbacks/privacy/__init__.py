"""What content may be recorded, how secrets are removed from it, and how it becomes JSON of bounded size.

A `ContentPolicy` (`policy.py`) says which content goes where; `with content(...)` (`content_scope.py`) changes it for
some calls. `redactor.py` removes what `patterns.py` describes (with `key_patterns.py` and `named_patterns.py`), and
`json_values.py` turns any value into JSON within an allowance. May import `limits`, `semconv` and `runtime`. Open
`policy.py` first.
"""

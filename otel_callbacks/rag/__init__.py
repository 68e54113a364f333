"""Documents and prompts: which documents reached the prompt, which the answer cites, what tools cost in tokens.

Also why the provider's prompt cache missed (`prompt_cache.py`).

May import `limits`, `semconv`, `runtime`, `operations` and `runs`. Open `prompt.py` first: it shows at which point of a
run each of the other files is used. `recorded_documents.py` stands alone: it writes the attribute `rag.documents`.
"""

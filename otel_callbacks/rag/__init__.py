"""Documents and prompts: which documents reached the prompt, which the answer cites, and what tools cost in tokens.

May import `operations`, `runs` and `runtime`. Open `prompt_sources.py` first: it shows when the rest is asked.
"""

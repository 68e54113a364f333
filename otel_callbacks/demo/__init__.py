"""The demo: a local model server, a corpus that every machine has, and jobs worth tracing; it needs no account.

May import `cost`, `export`, `explore` and both frameworks' rooms, but nothing imports the demo except the command
line. Open `command.py` first: it runs the jobs of `langchain_runs.py` and `llama_index_runs.py` against the model in
`extractive.py`, which `server.py` serves over the OpenAI protocol.
"""

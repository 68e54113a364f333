"""`otel-callbacks mcp`: lets an assistant in an editor look at trace files, by the Model Context Protocol; read-only.

May import `explore` and what that stands on. Open `tools.py` first: it has what the assistant may ask. `paging.py`
keeps an answer within its bounds, and `server.py` knows the package `mcp`, of either major version.
"""

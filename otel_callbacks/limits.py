"""Every bound of the package: its value, what happens when it is reached, and why it is there.

A bound protects the application's memory or time. Nothing alive is ever evicted, and nothing is left out silently: an
attribute, a counter or a log line says so. The sections are the rooms.
"""

# operations: what is read of payloads


# runs: what is remembered of runs


# privacy: how much content is written and searched


# cost: what is remembered of prices, budgets and labels


# rag: how much of documents and prompts is compared


# recording: what a span and the metrics carry


# langchain, llama_index, manual: what handlers keep


# export: how much waits for a back end


# explore: how much is read, kept and drawn


# demo

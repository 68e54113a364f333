"""The demo's questions: the same for every framework, so that their traces compare."""

RAG_QUESTION = "How do I compute the SHA-256 digest of a file?"
FOLLOW_UP_QUESTION = "Which hash algorithms are guaranteed to be available?"
AGENT_QUESTION = (
    "Summarise the module statistics, count its functions, "
    "and search the docs for how to find the median of grouped data."
)
SUPERVISOR_QUESTION = "How do I run a subprocess and capture its output?"

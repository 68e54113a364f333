"""Traces as plain dictionaries for programs that read JSON, such as a coding agent: bounded, and without content.

Content is what `Trace` has of messages, arguments, results, documents and the messages of exceptions; it is there only
if it is asked for. `facts.py` has one trace and one span, `differences.py` what changed between two traces,
and `causes.py` the answer of `why`.
"""

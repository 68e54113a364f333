"""The answers of `why`, as people and programs read them.

Open `why.py` first: it asks `causes` about each workflow. `text.py` says the answer in sentences, `picture.py` for a
notebook, `plain.py` as a dictionary.
"""

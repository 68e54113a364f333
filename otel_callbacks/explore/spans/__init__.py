"""Finished spans as plain data, the tree that they form, and the documents and messages that they carry."""

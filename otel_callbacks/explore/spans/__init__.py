"""Finished spans as plain data, the tree they form, and what they carry: the ground of `explore`."""

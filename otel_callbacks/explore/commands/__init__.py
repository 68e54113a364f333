"""The commands that show, compare and replay trace files."""

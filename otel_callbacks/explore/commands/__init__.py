"""Commands that show, compare and send what trace files hold."""

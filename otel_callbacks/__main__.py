"""Runs the `otel-callbacks` command as `python -m otel_callbacks`."""

from otel_callbacks.cli import main

main(prog_name="otel-callbacks")

"""`python -m otel_callbacks` is the `otel-callbacks` command."""

from otel_callbacks.cli import main

main(prog_name="otel-callbacks")

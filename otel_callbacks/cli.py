"""The `otel-callbacks` command."""

import click

from otel_callbacks.conformance.command import check
from otel_callbacks.demo.command import demo
from otel_callbacks.explore.commands.replay import replay


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="otel-callbacks")
def main() -> None:
    """OpenTelemetry traces for LangChain, LangGraph and LlamaIndex."""


main.add_command(check)
main.add_command(demo)
main.add_command(replay)

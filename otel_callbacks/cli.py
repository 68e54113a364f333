"""The `otel-callbacks` command."""

import click

from otel_callbacks.conformance.command import check
from otel_callbacks.cost.reporting.command import cost
from otel_callbacks.demo.command import demo


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="otel-callbacks")
def main() -> None:
    """OpenTelemetry traces for LangChain, LangGraph and LlamaIndex."""


main.add_command(check)
main.add_command(cost)
main.add_command(demo)

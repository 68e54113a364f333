"""The `otel-callbacks` command."""

import click

from otel_callbacks.conformance.command import check
from otel_callbacks.demo.command import demo
from otel_callbacks.doctor.command import doctor
from otel_callbacks.explore.commands.cost import cost
from otel_callbacks.explore.commands.diff import diff
from otel_callbacks.explore.commands.forget import forget
from otel_callbacks.explore.commands.replay import replay
from otel_callbacks.explore.commands.top import top
from otel_callbacks.explore.commands.view import view


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="otel-callbacks")
def main() -> None:
    """Show, compare, check and price OpenTelemetry traces of LangChain, LangGraph and LlamaIndex."""


main.add_command(check)
main.add_command(cost)
main.add_command(demo)
main.add_command(doctor)
main.add_command(diff)
main.add_command(forget)
main.add_command(replay)
main.add_command(top)
main.add_command(view)

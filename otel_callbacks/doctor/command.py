"""The `doctor` command."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from otel_callbacks.doctor import checks
from otel_callbacks.doctor.findings import Finding
from otel_callbacks.runtime.json_options import format_option, only_json
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.untrusted_text import printable


@click.command("doctor", short_help="Say what is wrong between here and the back end.")
@click.option("--import", "module", metavar="MODULE", help="Import the application first, such as shop.main.")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL", help="As endpoints= of configure().")
@click.option("--protocol", type=click.Choice(["http/protobuf", "grpc"]), help="As protocol= of configure().")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="As headers= of configure().")
@click.option("--timeout", default=10.0, show_default=True, help="Seconds to wait for the test trace.")
@format_option
def doctor(
    module: str | None,
    endpoints: Sequence[str],
    protocol: Any,
    headers: Sequence[str],
    timeout: float,
    output_format: str,
) -> None:
    """Send a test trace along the way that real ones take, and say what is wrong.

    Reads the OTEL_* variables as the application does. With --import it looks at what the application itself sets up.
    The exit status is 1 if something is wrong.
    """
    if any("=" not in header for header in headers):
        raise click.BadParameter("a header is not NAME=VALUE", param_hint="--header")
    given = dict(header.split("=", 1) for header in headers)
    found: list[Finding] = []
    with _quiet(), only_json(output_format):
        for finding in _findings(module, endpoints, protocol, given, timeout):
            found.append(finding)
            if output_format == "text":
                click.echo(f"{finding.kind:<6}{printable(finding.text)}")
    failed = any(finding.kind == "wrong" for finding in found)
    if output_format == "json":
        click.echo(json_text({"ok": not failed, "findings": [each._asdict() for each in found]}))
    sys.exit(1 if failed else 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the log quiet: what it would say is said here in plain words."""
    loggers = [logging.getLogger(name) for name in ("opentelemetry", "otel_callbacks")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _findings(
    module: str | None, endpoints: Sequence[str], protocol: Any, headers: Mapping[str, str], timeout: float
) -> Iterator[Finding]:
    from otel_callbacks.export.configure import configure

    yield from checks.check_packages()
    if module is not None:
        yield (imported := checks.import_application(module))
        if imported.kind == "ok":
            yield checks.check_handlers()
    try:
        telemetry = configure(endpoints=endpoints, protocol=protocol, headers=headers or None)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--endpoint") from None
    yield from checks.check_set_up(telemetry)
    yield from checks.check_delivery(telemetry, timeout)
    telemetry.shutdown(timeout)

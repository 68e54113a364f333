"""The errors of commands."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from otel_callbacks.runtime.untrusted_text import printable


class UnreadableError(click.ClickException):
    """A file cannot be read, or does not hold the trace."""

    exit_code = 2


@contextmanager
def file_errors() -> Iterator[None]:
    """Turns errors with files into messages of the command.

    Raises:
        UnreadableError: In place of `OSError`, `ValueError` and `LookupError`.
    """
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        raise UnreadableError(printable(str(error))) from error

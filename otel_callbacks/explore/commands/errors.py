"""How the commands fail."""

from collections.abc import Iterator
from contextlib import contextmanager

import click


class UnreadableError(click.ClickException):
    """A file cannot be read, or does not hold what was asked for."""

    exit_code = 2


@contextmanager
def reading() -> Iterator[None]:
    """Turns what goes wrong with files into messages.

    Raises:
        UnreadableError: Instead of `OSError`, `ValueError` and `LookupError`.
    """
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        raise UnreadableError(str(error)) from error

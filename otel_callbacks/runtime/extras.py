"""The error for a package that an extra of ours installs, and that is not there."""

import sys
from importlib.util import find_spec


def needs_extra(package: str, extra: str) -> None:
    """Checks that a package is installed, without importing it.

    Raises:
        ModuleNotFoundError: it is not; the message has the command that installs it.
    """
    if not is_installed(package):
        raise ModuleNotFoundError(
            f"{package} is not installed: pip install 'otel-callbacks[{extra}]'", name=package
        )


def is_installed(package: str) -> bool:
    """Tells whether a package can be imported; a part of it is looked up only if it has its parent."""
    if package in sys.modules:
        return sys.modules[package] is not None
    parent, _, _ = package.rpartition(".")
    try:
        return (not parent or is_installed(parent)) and find_spec(package) is not None
    except ModuleNotFoundError:  # by a finder that keeps packages away
        return False

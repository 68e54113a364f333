"""Files that only their owner may read, and that nobody else can redirect."""

import errno
import logging
import os
import stat
from functools import cache
from pathlib import Path

_logger = logging.getLogger(__name__)

OWNER_ONLY = 0o600
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def open_private(path: Path, flags: int) -> int:
    """Opens or creates a file that holds traces, and returns its descriptor. Devices and pipes are fine, too.

    Raises:
        OSError: The file cannot be opened, is a symbolic link to a file, or belongs to somebody else. In a folder that
            others can write, they could make the file beforehand to read or redirect what is written.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | _NO_LINK, OWNER_ONLY)
    except OSError as error:
        if error.errno != errno.ELOOP or not path.exists() or path.is_file():
            raise
        return os.open(path, flags)  # such as /dev/stdout
    try:
        _check_owner(path, os.fstat(descriptor))
    except BaseException:  # whatever it is, it goes on
        os.close(descriptor)
        raise
    return descriptor


def write_private(path: Path, content: bytes) -> None:
    """Writes a whole file at once: readers see the old content or the new, also after an interruption.

    Raises:
        OSError: As for `open_private`.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a device or a pipe
        return
    os.close(open_private(path, os.O_WRONLY))  # refuses what may not be replaced
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.unlink(missing_ok=True)  # whoever made it could read what is written
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, OWNER_ONLY)
        with open(descriptor, "wb") as file:
            file.write(content)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@cache
def warn_of_shared_folder(folder: Path) -> None:
    """Logs, once per folder, that others can write it: they can delete traces and put false ones there."""
    if hasattr(os, "geteuid") and folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        _logger.warning("others can write to the folder %s, and so can delete or forge traces in it", folder)


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Raises an error if a file belongs neither to this user nor to the folder's owner, who could read it anyway."""
    if not hasattr(os, "geteuid") or not stat.S_ISREG(found.st_mode):
        return
    if found.st_uid not in (os.geteuid(), path.parent.stat().st_uid):
        raise PermissionError(errno.EPERM, "the file belongs to another user", str(path))

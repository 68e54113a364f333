"""Python processes of their own, for what is once for good in a process."""

import subprocess
import sys
import textwrap
from pathlib import Path


def run_script(script: str, folder: Path) -> str:
    """What `script` prints when it runs in `folder`."""
    ordered = [sys.executable, "-c", textwrap.dedent(script)]
    ran = subprocess.run(ordered, cwd=folder, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout

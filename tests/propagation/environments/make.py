"""Makes the environments in which the tests of several processes run: python make.py [NAME …], by default all.

Each is a virtual environment in `.venv/across/`, with the packages of `NAME.txt` beside this file.
"""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def constraints(folder: Path, name: str) -> Path:
    """Writes the tested versions, without those of packages that the environment has in another version."""
    own = {line.partition("==")[0] for line in (HERE / f"{name}.txt").read_text().splitlines()}
    tested = (ROOT / "tested-versions.txt").read_text().splitlines(keepends=True)
    written = folder / "constraints.txt"
    written.write_text("".join(line for line in tested if line.partition("==")[0] not in own))
    return written


def make(name: str) -> None:
    folder = ROOT / ".venv" / "across" / name
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    constraint = ["--constraint", constraints(folder, name)] if name != "graph" else []
    subprocess.run(
        [
            *pip,
            "--editable",
            f"{ROOT}[langchain,llama-index]",
            *constraint,
            "--requirement",
            HERE / f"{name}.txt",
        ],
        check=True,
    )
    if (without := HERE / f"{name}-no-deps.txt").exists():
        subprocess.run([*pip, "--no-deps", "--requirement", without], check=True)


for each in sys.argv[1:] or ("servers", "graph", "mcp1", "mcp2", "durable", "types"):
    make(each)

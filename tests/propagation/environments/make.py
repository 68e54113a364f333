"""Makes the environments in which the tests of several processes run: python make.py [NAME …], by default all.

Each is a virtual environment in `.venv/across/`, with the packages of `NAME.txt` beside this file.
"""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def make(name: str) -> None:
    folder = ROOT / ".venv" / "across" / name
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    constraint = ["--constraint", ROOT / "tested-versions.txt"] if name != "graph" else []
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

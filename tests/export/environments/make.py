"""Makes the environments of the back ends that tests send to: python make.py [phoenix] [mlflow] [rotel].

Each is a virtual environment in `.venv/backends/`, of its own because it pins half of what we test with.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = {"phoenix": "arize-phoenix==20.26.1", "mlflow": "mlflow==3.17.2", "rotel": "rotel==0.0.1a15"}

for name in sys.argv[1:] or PACKAGES:
    folder = ROOT / ".venv" / "backends" / name
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, PACKAGES[name]], check=True)

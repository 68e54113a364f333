"""Makes what the tests marked `backend` here need: python make.py [sql] [prometheus].

`sql` is a virtual environment with ClickHouse and DuckDB, `prometheus` the programs of Debian's packages prometheus,
promtool and victoria-metrics. They are unpacked and not installed, and come from the suite that has a Prometheus 3;
nothing outside of `.venv/backends/` changes.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).parents[3] / ".venv" / "backends"
ENGINES = ("chdb==4.4.0", "duckdb==2.0.1")
SUITE = "forky"
PROGRAMS = ("prometheus", "promtool", "victoria-metrics")
APT = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "root";
"""


def sql() -> None:
    """Makes the environment with the engines of SQL."""
    venv.create(FOLDER / "sql", with_pip=True)
    pip = FOLDER / "sql" / "bin" / "pip"
    subprocess.run([pip, "install", "--quiet", *ENGINES], check=True)


def prometheus() -> None:
    """Unpacks the programs of Debian's packages."""
    folder = FOLDER / "prometheus"
    for name in ("lists/partial", "cache/archives/partial", "debs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (folder / "sources.list").write_text(f"deb [signed-by={key}] http://deb.debian.org/debian {SUITE} main\n")
    (folder / "apt.conf").write_text(APT.format(folder=folder))
    variables = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
    subprocess.run(["apt-get", "-qq", "update"], check=True, env=variables)
    subprocess.run(["apt-get", "-qq", "download", *PROGRAMS], check=True, env=variables, cwd=folder / "debs")
    for package in (folder / "debs").glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True)


for name in sys.argv[1:] or ("sql", "prometheus"):
    {"sql": sql, "prometheus": prometheus}[name]()

"""CI installs exact versions, and SECURITY.md names what is covered."""

import os
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from source_files import PACKAGE

from otel_callbacks.privacy.key_patterns import KEY_PREFIXES, WORD_PREFIXES

ROOT = PACKAGE.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = {
    canonicalize_name(name): pinned
    for name, _, pinned in (
        line.partition("==")
        for line in (ROOT / "tested-versions.txt").read_text().splitlines()
        if line[0] != "#"
    )
}


def direct() -> list[Requirement]:
    project = PROJECT["project"]
    groups = [project["dependencies"], PROJECT["dependency-groups"]["dev"]]
    groups += [
        project["optional-dependencies"][extra]
        for extra in ("all", "demo", "langchain", "llama-index", "cost", "mcp", "zero-code")
    ]
    found = [Requirement(text) for group in groups for text in group]
    return [each for each in found if each.name != "otel-callbacks"]


@pytest.mark.parametrize("requirement", direct(), ids=str)
def test_a_version_of_each_dependency_was_tested(requirement: Requirement) -> None:
    tested = LOCKED[canonicalize_name(requirement.name)]
    assert re.fullmatch(r"\d[\w.+!-]*", tested)
    assert requirement.specifier.contains(tested, prereleases=True)


@pytest.mark.skipif(not os.environ.get("CI"), reason="only CI installs the tested versions")
@pytest.mark.parametrize("requirement", direct(), ids=str)
def test_ci_tests_that_version(requirement: Requirement) -> None:
    assert version(requirement.name) == LOCKED[canonicalize_name(requirement.name)]


def test_ci_installs_the_tested_versions() -> None:
    assert 'export PIP_CONSTRAINT="$PWD/tested-versions.txt"' in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize(
    "prefix",
    [each for table in (KEY_PREFIXES, WORD_PREFIXES) for kind in table.values() for each in kind.split()],
)
def test_the_security_page_lists_each_prefix(prefix: str) -> None:
    text = (ROOT / "SECURITY.md").read_text()
    between = re.fullmatch(r"v[123]\.local\.", prefix)  # `v1.local.` to `v4.local.`
    assert f"`{prefix}`" in text or between


def test_the_source_distribution_holds_what_its_tests_import_and_read() -> None:
    held = set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    imported = {path.partition("/")[0] for path in PROJECT["tool"]["pytest"]["ini_options"]["pythonpath"]}
    read = {
        match
        for file in (ROOT / "tests").rglob("test_*.py")
        for match in re.findall(r'(?:ROOT|parents?\[?\d?\]?) / "([\w.-]+)', file.read_text())
    } & {each.name for each in ROOT.iterdir()} - {".venv"}  # which `make` makes
    assert {".ci", "README.md"} <= read
    assert {f"*{Path(name).suffix}" if name.endswith(".md") else name for name in imported | read} <= held | {
        "pyproject.toml"
    }

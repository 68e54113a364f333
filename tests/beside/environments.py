"""Makes the environments in which the tests of this folder run, with the instrumentations of others in them.

    python tests/beside/environments.py [FOLDER]

They need the network once, some minutes and 1.5 GB. `wrapt1` and `wrapt2` have the two generations of wrapt;
opentelemetry-instrumentation-openai-v2 needs an older opentelemetry-util-genai than its successor, so that the two
cannot be in one environment either. `anthropic2` has the client that makes spans by itself, which LlamaIndex's
integration does not take yet.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
FOLDER = Path(tempfile.gettempdir()) / "otel-callbacks-beside"
_FRAMEWORKS = (
    "anthropic<1",
    "langchain",
    "langchain-openai",
    "langchain-anthropic",
    "llama-index-core",
    "llama-index-llms-openai-like",
    "llama-index-llms-anthropic",
    "opentelemetry-instrumentation-httpx",
)
_ENVIRONMENTS = {
    "wrapt1": (
        *_FRAMEWORKS,
        "wrapt<2",
        "opentelemetry-instrumentation-openai-v2==2.4b0",
        "opentelemetry-util-genai==0.4b0",
        "opentelemetry-instrumentation-openai==0.62.4",
        "opentelemetry-instrumentation-anthropic==0.62.4",
    ),
    "wrapt2": (
        *_FRAMEWORKS,
        "wrapt>=2",
        "opentelemetry-instrumentation-genai-openai==1.3b0",
        "opentelemetry-instrumentation-genai-anthropic==1.3b0",
        "openinference-instrumentation-openai==0.1.66",
        "openinference-instrumentation-anthropic==1.1.2",
        "opentelemetry-distro",
        "logfire==5.4.0",
        "fastapi",
    ),
    "anthropic2": (
        "anthropic>=2",
        "langchain-anthropic",
        "opentelemetry-instrumentation-genai-anthropic==1.3b0",
        "openinference-instrumentation-anthropic==3.1.0",
        "opentelemetry-instrumentation-httpx",
    ),
}


def python(name: str, folder: Path = FOLDER) -> Path:
    """Returns the Python of an environment, which it makes if it is not there yet."""
    home = folder / name
    made = home / "made"
    if not made.exists():
        venv.create(home, with_pip=True, clear=True)
        pip = (home / "bin" / "pip", "install", "--quiet")
        subprocess.run((*pip, *_ENVIRONMENTS[name], "-e", f"{REPOSITORY}[cost]"), check=True)
        made.touch()
    return home / "bin" / "python"


if __name__ == "__main__":
    for each in _ENVIRONMENTS:
        python(each, *map(Path, sys.argv[1:2]))

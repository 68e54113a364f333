"""Draws the pictures of Phoenix and MLflow from the demo's traces.

The environment says where both are (`PHOENIX_COLLECTOR_ENDPOINT`, `MLFLOW_TRACKING_URI`). Fresh servers get the traces
from `otel-callbacks demo --framework langchain`, with `OTEL_CALLBACKS_TO=phoenix,mlflow`, `MLFLOW_EXPERIMENT_ID=0` and
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY`. Chromium and the package playwright must be installed.
"""

import os
from collections.abc import Iterator
from typing import Any

import click
import requests
from pictures import FOLDER, chromium

_OFF = ("disable-background-networking", "disable-component-update", "disable-sync", "disable-quic")
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--{name}" for name in _OFF))
_SIZE = {"width": 1360, "height": 760}
_SETTINGS = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
localStorage.setItem("mlflow.detectIssues.guidanceShown_v1", "true");
localStorage.setItem("arize-phoenix-theme", "light");
"""
_QUESTION = "{projects {edges {node {id spans(first: 500) {edges {node {id name trace {traceId}}}}}}}}"


def spans_in_phoenix(address: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields the name, the project and the fields of each span that Phoenix has."""
    answer = requests.post(f"{address}/graphql", json={"query": _QUESTION}, timeout=30).json()
    for project in answer["data"]["projects"]["edges"]:
        for span in project["node"]["spans"]["edges"]:
            yield span["node"]["name"], project["node"]["id"], span["node"]


def pages(phoenix: str, mlflow: str) -> dict[str, tuple[str, str]]:
    """Returns the address of each picture, and a text that is there when the page is complete."""
    found = list(spans_in_phoenix(phoenix))
    _, project, retrieval = next(each for each in found if each[0] == "retrieval")
    agent = next(fields for name, _, fields in found if name == "invoke_agent supervisor")
    traces = f"{phoenix}/projects/{project}/traces"
    shown = f"{traces}/{retrieval['trace']['traceId']}?selectedSpanNodeId={retrieval['id']}"
    supervisor = f"{mlflow}/#/experiments/0/traces?selectedEvaluationId=tr-{agent['trace']['traceId']}"
    return {
        "phoenix_list": (traces, "invoke_agent librarian"),
        "phoenix_trace": (shown, "Document Metadata"),
        "mlflow_trace": (supervisor, "Outputs"),
    }


@click.command()
def main() -> None:
    """Draw the pictures of the servers that the environment names."""
    from playwright.sync_api import sync_playwright

    variables = {"PHOENIX_COLLECTOR_ENDPOINT": 6006, "MLFLOW_TRACKING_URI": 5000}
    phoenix, mlflow = (os.environ.get(name, f"http://localhost:{port}") for name, port in variables.items())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        for name, (address, text) in pages(phoenix, mlflow).items():
            page = browser.new_page(viewport=_SIZE)
            page.add_init_script(_SETTINGS)
            page.goto(address)
            page.get_by_text(text).first.wait_for()
            page.wait_for_timeout(1500)  # the charts and the drawer move
            page.screenshot(path=FOLDER / f"{name}.png")
            page.close()
            click.echo(f"{name}.png: {address}")
        browser.close()


if __name__ == "__main__":
    main()

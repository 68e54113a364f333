"""Writes the dashboards for Grafana and the rules for Prometheus: `python dashboards/scripts/make.py`.

Names come from `otel_callbacks/semconv.py`; a test compares the files with what this makes.
"""

from pathlib import Path

import agents
import grafana
import money
import operations
import rag
import rules

FOLDER = Path(__file__).parents[1]
DASHBOARDS = (operations.OPERATIONS, money.MONEY, rag.RAG, agents.AGENTS)


def files() -> dict[str, str]:
    """Returns the text of each file, by its path in `dashboards/`."""
    made = {f"grafana/{each.name}.json": grafana.to_json(each) for each in DASHBOARDS}
    return {**made, "prometheus/rules.yaml": rules.to_yaml()}


if __name__ == "__main__":
    for path, text in files().items():
        (FOLDER / path).write_text(text)

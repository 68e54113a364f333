"""Connects a prompt template with the model call that its messages go to.

LangChain runs a template before the model, as a run of its own below the same chain. So the template is kept until the
next model call of that chain starts.
"""

from collections.abc import Mapping
from typing import Any

from otel_callbacks.limits import PROMPT_TEMPLATES_KEPT
from otel_callbacks.operations import Inference, PromptTemplate
from otel_callbacks.operations.payload import mapping, word
from otel_callbacks.runs.run import Run

_CLASS_NAMES = ("PromptTemplate", "Prompt", "MessagesPlaceholder")


def keep_template(
    chain: Run, chain_id: Any, name: str | None, metadata: Mapping[str, Any], inputs: Any
) -> None:
    """Keeps a template that starts, with what fills it in, on the run that stands for its chain.

    Its name is in its metadata (the prompt hub's, or `prompt_name`), else what the application called it or its run.
    """
    own_name = name if name is not None and not name.endswith(_CLASS_NAMES) else None
    if chain.prompt_templates is None:
        chain.prompt_templates = {}
    chain.prompt_templates[chain_id] = PromptTemplate(
        word(metadata.get("prompt_name")) or word(metadata.get("lc_hub_repo")) or own_name,
        word(metadata.get("prompt_version")) or word(metadata.get("lc_hub_commit_hash")),
        mapping(inputs),
    )
    if len(chain.prompt_templates) > PROMPT_TEMPLATES_KEPT:  # templates whose messages went to no model
        chain.prompt_templates.pop(
            next(iter(chain.prompt_templates), None), None
        )  # other threads do the same


def use_template(run: Run | None, chain_id: Any) -> None:
    """Gives the template that was kept for a chain to the model call that starts in it."""
    chain = run.parent if run is not None else None
    if run is None or chain is None or not chain.prompt_templates:
        return
    template = chain.prompt_templates.pop(chain_id, None)
    if template is not None and isinstance(run.operation, Inference):
        told = run.operation.prompt_template  # in the metadata of the call
        if template.name is None and told is not None:
            template = PromptTemplate(told.name, told.version, template.variables)
        run.operation.prompt_template = template

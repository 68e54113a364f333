"""The service whose models the demo uses: the local server, or any that speaks the OpenAI protocol."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from otel_callbacks.demo.extractive import CHAT_MODEL, EMBEDDING_MODEL
from otel_callbacks.demo.server import LocalModelServer

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Endpoint:
    """The address of a service, its key and the names of its models."""

    base_url: str
    api_key: str
    chat_model: str
    embedding_model: str

    @classmethod
    def local(cls, server: LocalModelServer) -> Self:
        """Returns the local server's endpoint."""
        return cls(server.base_url, "local", CHAT_MODEL, EMBEDDING_MODEL)

    @classmethod
    def from_environment(
        cls,
        model: str | None,
        server: LocalModelServer,
        *,
        embedding_model: str = "text-embedding-3-small",
        environment: Mapping[str, str] = os.environ,
    ) -> Self:
        """Chooses the service: the local server, unless a model is named.

        A key in the environment is not enough: a demo must not spend money without being told to.

        Args:
            model: The chat model of the service at `OPENAI_BASE_URL` (OpenAI's own if unset), called with
                `OPENAI_API_KEY`; None for the local model.
            server: The local server.
            embedding_model: The embedding model to use along with `model`.
            environment: The environment variables.

        Raises:
            ValueError: A model is named, but neither variable is set.
        """
        if model is None:
            return cls.local(server)
        base_url, key = environment.get("OPENAI_BASE_URL"), environment.get("OPENAI_API_KEY")
        if not (base_url or key):
            raise ValueError(f"to use {model}, set OPENAI_API_KEY, or OPENAI_BASE_URL for another service")
        return cls(base_url or OPENAI_URL, key or "unused", model, embedding_model)

    @property
    def is_openai(self) -> bool:
        """Tells whether this is OpenAI's own service, whose tokenizer the clients know."""
        return self.base_url.startswith(OPENAI_URL)

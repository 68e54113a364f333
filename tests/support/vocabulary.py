"""OpenAI's current vocabulary, which LlamaIndex brings along: real token counts without a network."""

import functools
from pathlib import Path

import llama_index.core
import pytest
import tiktoken


@functools.cache
def o200k() -> tiktoken.Encoding:
    cache = Path(llama_index.core.__file__).parent / "_static" / "tiktoken_cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
        return tiktoken.get_encoding("o200k_base")


def real_tokens(text: str) -> int:
    return len(o200k().encode(text, disallowed_special=()))

"""What providers say of their prompt caches: from how many tokens on, and for how long. Looked up in November 2026.

OpenAI: https://developers.openai.com/docs/guides/prompt-caching (1,024 tokens; in memory 5 to 10 minutes, up to an
hour; extended retention up to 24 hours on gpt-4.1, gpt-5 and newer, where a request may ask for either); of Azure
https://learn.microsoft.com/azure/foundry/openai/how-to/prompt-caching. Anthropic, also on Bedrock and Vertex AI:
https://platform.claude.com/docs/en/build-with-claude/prompt-caching (by model; 5 minutes from the last use, or an hour
if asked for). Where sources differ, the smaller minimum stands here, so that none is claimed that does not hold.
Gemini: https://ai.google.dev/gemini-api/docs/caching (implicit, by model; no lifetime is promised). Bedrock's Nova:
https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html. DeepSeek:
https://api-docs.deepseek.com/guides/kv_cache (on disk; units of 64 tokens; no lifetime is promised). xAI promises
neither number.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from otel_callbacks.limits import CACHED_TEXTS

_MINUTE, _HOUR = 60.0, 3600.0


class PromptCache(NamedTuple):
    """The prompt cache of a model.

    Attributes:
        minimum_tokens: prompts that share fewer tokens are not cached; None if the provider names no number.
        lifetime_seconds: what was not used for longer is probably gone; None if the provider names no time.
    """

    minimum_tokens: int | None = None
    lifetime_seconds: float | None = None


EXTENDED_SECONDS = _HOUR
"""How long a provider keeps what a call asked it to keep for an hour."""

# A pattern in the name of a model, and its cache; the first that fits counts.
_Rules = Sequence[tuple[str, PromptCache]]

_CLAUDE: _Rules = (
    (r"opus-5|fable-5|mythos-5", PromptCache(512, 5 * _MINUTE)),
    (r"opus-4-7|3-5-haiku|3-haiku", PromptCache(2048, 5 * _MINUTE)),
    (r"opus-4-[56]|haiku-4-5", PromptCache(4096, 5 * _MINUTE)),
    (r"opus-[34]|3-opus|sonnet", PromptCache(1024, 5 * _MINUTE)),
    (r"claude", PromptCache(None, 5 * _MINUTE)),
)
_OPENAI: _Rules = (  # others at the same API, such as gpt-oss, are somebody else's
    (r"gpt-4\.1|gpt-5", PromptCache(1024, 24 * _HOUR)),
    (r"gpt-4|gpt-3|\bo[134]\b|codex", PromptCache(1024, 10 * _MINUTE)),
)
_GEMINI: _Rules = (
    (r"2\.5-flash|gemini-3(\.5)?-flash", PromptCache(1024)),
    (r"2\.5-pro", PromptCache(2048)),
    (r"gemini-[34]", PromptCache(4096)),
)
_RULES: dict[str, _Rules] = {
    "openai": _OPENAI,
    "azure.ai.openai": _OPENAI,
    "anthropic": _CLAUDE,
    "aws.bedrock": (*_CLAUDE, (r"nova", PromptCache(1000, 5 * _MINUTE))),
    "gcp.vertex_ai": (*_CLAUDE, *_GEMINI),
    "gcp.gemini": _GEMINI,
    "deepseek": ((r"deepseek", PromptCache(64)),),
    "x_ai": ((r"grok", PromptCache()),),
}


@lru_cache(maxsize=CACHED_TEXTS)
def prompt_cache(provider: str | None, model: str) -> PromptCache | None:
    """Returns the prompt cache of a model; None if we know nothing of it.

    `provider` is the conventions' name of the provider, `model` the model that answered or was asked for.
    """
    name = model.lower()
    return next((rule for part, rule in _RULES.get(provider or "", ()) if re.search(part, name)), None)

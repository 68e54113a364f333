"""No pattern is compiled in a call of the application: together they take 50 ms, each up to 8 ms."""

import subprocess
import sys

CALL = """
import re
from langchain_core.language_models import FakeListChatModel
from otel_callbacks import ContentPolicy
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.privacy import pattern, patterns
from otel_callbacks.testing import capture

imported = pattern._compiled.cache_info().misses
with capture() as captured:
    policy = ContentPolicy("spans", redact=["personal"])
    handler = OTelCallbackHandler(**captured.providers, content=policy)
    made = pattern._compiled.cache_info().misses
    hints = [hint for each in (*patterns.SECRETS, *sum(patterns.PERSONAL.values(), ())) for hint in each.hints]
    FakeListChatModel(responses=["ok"]).invoke("-> ".join(hints), {"callbacks": [handler]})
    assert captured.spans
print(imported, made > 0, pattern._compiled.cache_info().misses - made)
"""


def test_patterns_are_compiled_when_a_handler_is_made_and_not_before_or_later() -> None:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", CALL], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("0 True 0\n", "")

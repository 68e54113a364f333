"""The environment variables of a handler's arguments, and the table in docs/options.md."""

import inspect
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from otel_callbacks import configure, flush_on_signal, instrument
from otel_callbacks.handlers import option_variables, options
from otel_callbacks.handlers.options import Options, variables
from otel_callbacks.handlers.shared import SharedByHandlers
from otel_callbacks.privacy.policy import ContentPolicy

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
POLICY = "content_"


def said(documented: Any) -> Mapping[str, str]:
    """What the docstring of a class or function says of each attribute or argument, in one line."""
    text = re.split(r"\n(?:Attributes|Args):\n", inspect.getdoc(documented) or "")[1]
    entries = re.split(r"\n {4}(?=\w+: )", "\n" + re.split(r"\n(?:Raises|Returns):\n", text)[0])
    found = (re.sub(r"\s+", " ", entry.strip()).partition(": ") for entry in entries if entry.strip())
    return {name: meaning for name, _, meaning in found}


def row(name: str, form: str) -> str:
    field = name.removeprefix(POLICY)
    if name in option_variables.CONTENT_FIELDS:
        argument, meaning = f"`content=ContentPolicy({field}=…)`", said(ContentPolicy)[field]
    elif name in Options.__annotations__:
        argument, meaning = f"`{name}`", said(SharedByHandlers.__init__)[name]
    elif name == option_variables.SIGNAL:
        argument, meaning = "`flush_on_signal(…)`", (inspect.getdoc(flush_on_signal) or "").partition(";")[0]
    elif name == option_variables.TO:
        argument, meaning = "`configure(to=…)`", said(configure)[name]
    else:
        argument, meaning = f"`instrument({name}=…)`", said(instrument)[name]
    return f"| {argument} | `{option_variables.variable(name)}` | {form} | {meaning} |"


def test_the_table_has_every_option_with_its_variable_and_what_its_docstring_says() -> None:
    expected = [row(name, form) for name, form in option_variables.written(variables())]
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert rows == expected, "\n".join(expected)


def test_only_the_providers_have_no_variable() -> None:
    assert {name for name in Options.__annotations__ if name not in variables()} == {
        "tracer_provider",
        "meter_provider",
        "logger_provider",
    }


def read(monkeypatch: pytest.MonkeyPatch, **texts: str) -> dict[str, Any]:
    for name, text in texts.items():
        monkeypatch.setenv(option_variables.variable(name), text)
    return options._in_environment()


def test_every_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    book = tmp_path / "prices.toml"
    book.write_text('[[prices]]\nmodel = "m-1"\ninput = 1\noutput = 2\n')
    found = read(
        monkeypatch,
        detail="everything",
        content="spans",
        content_kinds="prompts, answers",
        content_redact="emails",
        content_cap="none",
        content_history="new",
        prices=str(book),
        attribution="tenant=acme, feature=a%2Cb=c",
        baggage_keys="tenant, feature",
        budgets='[{"tenant": "acme", "usd": 0.5, "per": "hour", "enforce": true}]',
        metric_labels="tenant=500, feature",
        estimate_usage="True",
    )
    assert found.pop("prices") is options._in_environment()["prices"]  # the file is read once
    (budget,) = found.pop("budgets")
    assert repr(budget) == "Budget(app.tenant_id='acme', usd=0.5, per='hour')"
    assert budget.enforce
    assert found == {
        "detail": "everything",
        "content": ContentPolicy(
            "spans", kinds=("prompts", "answers"), redact=("emails",), cap=None, history="new"
        ),
        "attribution": {"tenant": "acme", "feature": "a,b=c"},
        "baggage_keys": ("tenant", "feature"),
        "metric_labels": {"tenant": 500, "feature": 100},
        "estimate_usage": True,
    }


def test_all_handlers_share_the_budgets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[{"usd": 5, "per": "total"}]'
    first, second = read(monkeypatch, budgets=text), read(monkeypatch, budgets=text)
    assert first["budgets"][0] is second["budgets"][0]


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("detail", "all"),
        ("prices", "no-such-file.toml"),
        ("attribution", "acme"),
        ("attribution", "Tenant Name=acme"),
        ("baggage_keys", "Tenant Name"),
        ("budgets", "5"),
        ("budgets", '[{"usd": "much"}]'),
        ("budgets", '[{"dollars": 5}]'),
        ("metric_labels", "user"),
        ("metric_labels", "tenant=few"),
        ("estimate_usage", "sometimes"),
    ],
)
def test_what_is_wrong_is_logged_once_and_ignored(
    option: str, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert read(monkeypatch, **{option: text}) == {}
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{option_variables.variable(option)} is ignored: ")


def test_a_password_is_not_logged_where_the_value_is_cut(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = "redis://ann:" + "hunter22" * 20 + "@host"
    assert read(monkeypatch, budgets=f'[{{"usd": 5, "store": "{store}"}}') == {}
    assert "is ignored" in caplog.text and "hunter22" not in caplog.text


@pytest.mark.parametrize(
    "wrong", [{"content": "everywhere"}, {"content_redact": "e-mail"}, {"content_hashed": "1"}]
)
def test_a_mistake_in_what_content_is_recorded_records_none(
    wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(monkeypatch, **{"content": "spans", **wrong}) == {"content": ContentPolicy("none")}
    assert len(caplog.records) == 1


def test_the_parts_of_a_policy_join_the_official_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    assert read(monkeypatch, content_redact="emails") == {
        "content": ContentPolicy("spans", redact=("emails",))
    }
    assert read(monkeypatch, content="none")["content"].where == "none"

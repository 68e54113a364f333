"""Secrets and personal data are removed from texts and by key; ordinary text is left alone."""

import logging
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
import secret_formats

from otel_callbacks.privacy.key_patterns import KEY_PREFIXES, WORD_PREFIXES
from otel_callbacks.privacy.patterns import PERSONAL, SECRETS, remove_patterns
from otel_callbacks.privacy.presidio import presidio
from otel_callbacks.privacy.redactor import DROPPED, Redactor, redact_attributes, secret_part

# The text, and the part of it that must be removed. Keys are put together here, so that no scanner takes them for real.
RANDOM = "9fQ2xV7bLmT4zR8kW1nJ6cYh"
SECRET_TEXTS: dict[str, tuple[str, str]] = {
    "openai": (f"Incorrect API key provided: sk-proj-{RANDOM}.", RANDOM),
    "anthropic": (f"use sk-ant-api03-{RANDOM}-{RANDOM}", RANDOM),
    "groq": (f"gsk_{RANDOM}", RANDOM),
    "hugging face": (f"(hf_{RANDOM})", RANDOM),
    "langsmith": (f"lsv2_pt_{RANDOM}_abc", RANDOM),
    "google": (f"key AIza{RANDOM}{RANDOM[:11]}", RANDOM),
    "aws id": ("AKIA" + "IOSFODNN7EXAMPLE is it", "IOSFODNN7EXAMPLE"),
    "aws secret": (f"aws_secret_access_key = {RANDOM}/bPxRfiCY", RANDOM),
    "github": (f"git clone with ghp_{RANDOM}{RANDOM[:12]}", RANDOM),
    "github fine-grained": (f"github_pat_11AB{RANDOM}_{RANDOM}", RANDOM),
    "slack": (f"xoxb-1234-5678-{RANDOM}", RANDOM),
    "stripe": (f"sk_live_{RANDOM}", RANDOM),
    "jwt": (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{RANDOM}.{RANDOM}", RANDOM),
    "bearer": (f"Authorization: Bearer {RANDOM}", RANDOM),
    "bearer in a curl": (f"curl -H 'X-Auth: bearer {RANDOM}'", RANDOM),
    "basic": ("basic dXNlcjpwYXNzd29yZDE=", "dXNlcjpwYXNzd29yZDE"),
    "private key": (f"-----BEGIN RSA PRIVATE KEY-----\n{RANDOM}\n-----END RSA PRIVATE KEY----- end", RANDOM),
    "private key, cut": (f"-----BEGIN PRIVATE KEY-----\n{RANDOM}", RANDOM),
    "url": ("postgres://ann:hunter22@db.example/x", "hunter22"),
    "url with a token": (f"https://{RANDOM}@github.example/a.git", RANDOM),
    "signed url": (f"https://s3.example/a?X-Amz-Signature={RANDOM}&b=1", RANDOM),
    "query": ("https://x.example/v1?api_key=hunter22&q=1", "hunter22"),
    "query after an equals sign": ("url=https://x.example/v1?token=hunter22", "hunter22"),
    "environment": ("DB_PASSWORD=hunter22 python app.py", "hunter22"),
    "json": ('{"user": "ann", "password": "correct horse"}', "correct horse"),
    "json in json": ('{"body": "{\\"api_key\\": \\"hunter22\\"}"}', "hunter22"),
    "python": ("client = Client(api_key='hunter22')", "hunter22"),
    "header": ("x-api-key: hunter22", "hunter22"),
    "lined up": ("PASSWORD            = hunter22", "hunter22"),
    "json three times over": ('{\\\\\\"passwd\\\\\\" : \\\\\\"hunter22\\\\\\"}', "hunter22"),
    "credentials": ('"Credentials": "correct horse"', "correct horse"),
    "connection string": ("AccountName=a;AccountKey=abcdef123456==;", "abcdef123456"),
}
PERSONAL_TEXTS: dict[str, tuple[str, str, str]] = {
    "email": ("emails", "write to ann.lee+x@mail.example.com, please", "ann.lee+x@mail.example.com"),
    "email in brackets": ("emails", "<ann@example.com>", "ann@example.com"),
    "card": ("cards", "card 4111 1111 1111 1111.", "4111 1111 1111 1111"),
    "card without gaps": ("cards", "5500005555555559", "5500005555555559"),
    "card with hyphens": ("cards", "3782-822463-10005", "3782-822463-10005"),
    "phone": ("phones", "call +49 30 901820 now", "+49 30 901820"),
    "phone, american": ("phones", "call (555) 867-5309.", "(555) 867-5309"),
    "phone, dashed": ("phones", "tel 555-867-5309", "555-867-5309"),
}
ORDINARY = (
    "The token budget: 4,096 tokens per call, so max_tokens=100 and token_count: 12345678.",
    "A secret: he never said a word. The password: it was forgotten.",
    "sk-learn, scikit-learn and the sk-toolkit-for-everyone are libraries.",
    "550e8400-e29b-41d4-a716-446655440000 and 01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "On 2026-10-09T12:30:00+00:00 at 1700000000000 ms, 3.14159265358979, 1e10 and 1,234,567.",
    "order 4111111111111112 has a wrong check sum; 12345678901234567890 is a number",
    "x = d[key]; token = next(tokens); password = get_password(); api_key = os.environ['KEY']",
    '{"prompt_tokens": 12, "completion_tokens": 34, "token": null, "secretary": "Ann Lee"}',
    "https://example.com/a?b=1&page=2#top, see also s3://bucket/key.txt and C:\\tokens\\a.txt",
    "Basic understanding of bearer bonds; basic authentication is explained below.",
    "call_9fQ2xV7bLmT4zR8kW1nJ6cYh chatcmpl-9fQ2xV7bLmT4zR8k toolu_01A09q90qw90lq917835lq9",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "Zürich 🔐 秘密: +1 more, @ann said 5+5=10, version 1.2.3-4.5.6",
    # names that begin like keys
    "pplx-70b-online-chat, pa-11y-ci-configuration-2, fc-cache-2024-10-02-build, app-Frontend-Service-2024",
    "jina_embeddings_v3_base_en, hf_transformers_4_40_model, secret_santa_participants_2024, rnd_seed_1234567890",
    "npm_config_cache_min_time_2, pypi-simple-1.2.3-release-4, xai-explain-2024-methods, sk-toolkit-for-everyone",
    "SELECT t1.created_at_2024, t2.sk_buff_data_12 FROM t1; rubygems_version_3_4_1, key-value-store-v2-final",
    "up_to_date_since_2024_01_02_03, re_compile_patterns_of_2024_v2, key_of_the_first_item_2024, act.on_event_2024",
    "api-gateway-eu-west-1-2024, sdk-python-3.11-linux, access-sandbox-2024-01-02, st.session_state_of_page_2",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 and 4bf92f3577b34da6a3ce929d0e0e4736-2024",
    "Azure, AzSearch, 1+1=2, the license is MIT; dataset-3f2a9c5d-7e1b-4468-ace0-13579bdf2468",
    # words beside the names of secrets
    'class Token:\n    """Tokenizes text."""\n\ndef f(token: str, secret: str | None = None) -> Token:',
    'paths = ["/v1/credentials", "/v1/tokens/2"]; names = ["token", "model", "user"]; ENV PATH /usr/bin',
    "// see foo:bar, //@ts-ignore and http://x.example//a@b; the password 'x' and the api key 'y'",
    '<tokens>12345</tokens> <title>Password reset</title> {"app_key": null, "client": "ann"}',
    "use the --token flag, or --api-key with a value; --password-file ./secrets.txt and --no-token is fine",
    "docker run -u 1000:1000 --user 1000:1000 image; git push -u origin main; sort -u a:b",
    "see https://docs.example/webhooks/getting-started and src/hooks/useInfiniteQueryWithOptions2.ts",
    "http://host:8080/a?email=x@y, http://[::1]:8080/a@b and https://medium.example/@ann",
    "<label>token</label> <td>Password</td> if token == 'EOS' and password != other_password:",
    "name: CACHE_SIZE\n  value: 1234567, {'key': 'colour', 'value': 'turquoise'}",
    "cost is $5.00, $HOME/bin, $1 and $2, $2y; a|b|c, {0}~{1}, ~/x, !important, 12:30:45, 10:ABCDEFGHIJ",
    "01JAKIA2V3B4C5D6E7F8G9H0JK and run-0193c2f0-7a1b-7c3d-8e4f-0123456789ab_us-east-1-us21",
    "cookie: chocolate, and the Cookie Monster; authorization: see the docs, login is with a password manager",
)


@pytest.mark.parametrize("kind", SECRET_TEXTS)
def test_a_secret_is_removed_and_the_rest_is_left(kind: str) -> None:
    text, secret = SECRET_TEXTS[kind]
    shown = Redactor((), ()).clean(text)
    assert secret not in shown
    assert "[redacted" in shown
    assert shown.split("[redacted")[0] == text[: len(shown.split("[redacted")[0])]


@pytest.mark.parametrize("kind", secret_formats.ALL)
@pytest.mark.parametrize("around", ["{}", "use {} for it.", '"{}"', "(see {})", "x\n{}\ny"])
def test_each_known_kind_is_removed_wherever_it_stands(kind: str, around: str) -> None:
    text, secret = secret_formats.ALL[kind]
    shown = Redactor((), ()).clean(around.format(text))
    assert not any(secret[at : at + 8] in shown for at in range(max(1, len(secret) - 7)))
    assert shown.startswith(around.partition("{}")[0])


@pytest.mark.parametrize(
    "prefix",
    [each for table in (KEY_PREFIXES, WORD_PREFIXES) for kind in table.values() for each in kind.split()],
)
def test_each_prefix_of_a_key_is_known(prefix: str) -> None:
    bodies = (secret_formats.LONG, secret_formats.HEX + "01234567")
    shown = [Redactor((), ()).clean(f"a {prefix}{body} b") for body in bodies]
    assert any(body[8:] not in text for body, text in zip(bodies, shown, strict=True))


@pytest.mark.parametrize("kind", PERSONAL_TEXTS)
def test_personal_data_is_removed_by_name(kind: str) -> None:
    name, text, person = PERSONAL_TEXTS[kind]
    expected = text.replace(person, f"[redacted:{name.removesuffix('s')}]")
    assert Redactor((name,), ()).clean(text) == expected
    assert Redactor(("personal",), ()).clean(text) == expected
    assert Redactor((), ()).clean(text) == text


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert Redactor(("personal",), ()).clean(text) == text


@pytest.mark.parametrize("kind", [kind for kind in SECRET_TEXTS if kind != "private key, cut"])
def test_very_many_secrets_are_all_removed(kind: str) -> None:
    text, secret = SECRET_TEXTS[kind]
    shown = Redactor((), ()).clean("\n".join([text] * 1_500) + "\nthe end")
    assert secret not in shown
    assert shown.endswith("[redacted: the rest]") and shown.count("[redacted:") <= 1_002


def test_text_that_only_looks_like_very_many_secrets_is_left_alone() -> None:
    text = '{"action": "pressed", "a"  : "a button"}, "2 3 4 5 6 2 3 4 5 6 2 3 4 5 6 2 3"\n' * 1_500
    assert Redactor(("personal",), ()).clean(text) == text


def test_very_many_addresses_are_all_removed() -> None:
    rows = [f"{number},person{number}@example.com" for number in range(1_000)]
    assert "[redacted: the rest]" not in (shown := Redactor(("emails",), ()).clean("\n".join(rows)))
    assert shown.count("[redacted:email]") == 1_000
    shown = Redactor(("emails",), ()).clean("\n".join([*rows, "x,last.person@example.com", "the end"]))
    assert shown.endswith("[redacted: the rest]")
    assert "person" not in shown and "the end" not in shown


def test_addresses_next_to_each_other() -> None:
    shown = Redactor(("emails",), ()).clean("to ann@example.com@example.org")
    assert shown == "to [redacted:email][redacted:email]"


@pytest.mark.parametrize("pattern", [*SECRETS, *(each for group in PERSONAL.values() for each in group)])
def test_no_expression_takes_long_on_repetitive_text(pattern: Any) -> None:
    units = (
        "a",
        "1",
        "-",
        "eyJ",
        "a@",
        "1-",
        "token=",
        "://",
        "=",
        "sk-a",
        "Bearer ",
        "+1 ",
        "pa-aA",
        "_a",
        ".a",
    )
    units += (
        "--token ",
        "-u a:",
        "hook/",
        "hooks.slack.com/",
        "a:b@",
        "://a:",
        "value",
        "name: ",
        "$2b$",
        "<token>",
    )
    units += (
        "AKIA",
        "A",
        "~",
        "!",
        "|1",
        ":A",
        "cookie: a=",
        "-us",
        "_mmk",
        "0a",
        "token: ",
        "login a password ",
    )
    units += (
        "token: str | ",
        "'token', '",
        "%3A%2F%2Fa",
        "//a:",
        ">aaaa</",
        "ENV a",
        "token='",
        "token=\"'",
        "token:\n",
    )
    units += (
        "auth=('a', ",
        "00aA",
        "Az",
        "+ASt",
        "token%3D",
        "1.A.Ag",
        "password '",
        "authorization: a ",
        "--token\n-",
    )
    for unit in units:
        text = unit * (20_000 // len(unit))
        started = time.process_time()
        remove_patterns((pattern,), text)
        assert time.process_time() - started < 0.1, unit


KEYS = {
    "all": (
        *(
            "api_key",
            "apiKey",
            "X-API-Key",
            "OPENAI_API_KEY",
            "Authorization",
            "Proxy-Authorization",
            "password",
        ),
        *(
            "db_passwd",
            "clientSecret",
            "aws_secret_access_key",
            "private_key",
            "Cookie",
            "Set-Cookie",
            "credentials",
        ),
        *("pwd", "auth", "jwt", "connectionString", "access_tokens", "AZURE_OPENAI_AD_SECRET", "passphrase"),
    ),
    "text": (
        "token",
        "access_token",
        "refreshToken",
        "x-csrf-token",
        "GITHUB_TOKEN",
        "id_token",
        "renew_token",
    ),
    None: (
        *("max_tokens", "token_count", "prompt_tokens", "tokens", "tokenizer", "token_usage", "total_tokens"),
        *(
            "eos_token",
            "next_page_token",
            "secretary",
            "author",
            "key",
            "keys",
            "keyword",
            "passenger",
            "monkey",
        ),
        *("id", "name", "query", "compass", "session_id", "signed", "authority"),
    ),
}


@pytest.mark.parametrize(("hidden", "key"), [(hidden, key) for hidden, keys in KEYS.items() for key in keys])
def test_keys_of_secrets(hidden: str | None, key: str) -> None:
    assert secret_part(key) == hidden


@pytest.mark.parametrize(
    "unit",
    [
        "hf_",
        "-",
        "1-",
        "_",
        "sk-a",
        "pa-aA",
        "sk_aA1",
        "://",
        "://a:",
        "api_key",
        "-us",
        "a b. ",
        "token='",
        "</a>",
    ],
)
def test_the_time_for_a_text_grows_with_its_length(unit: str) -> None:
    def seconds(characters: int) -> float:
        text, measured = unit * (characters // len(unit)), []
        for _ in range(3):
            started = time.process_time()
            Redactor((), ()).clean(text)
            measured.append(time.process_time() - started)
        return min(measured)

    assert seconds(65_536) < 10 * seconds(16_384)  # 4 times the time; if it grew with the square, 16 times


def test_rules_and_keys_of_the_application() -> None:
    redactor = Redactor((re.compile(r"PRJ-\d+"), lambda text: text.replace("Ann", "A.")), ("Steuer-ID",))
    assert redactor.clean("Ann works on PRJ-17") == "A. works on [redacted]"
    assert redactor.redact_key("steuer_id") == ("steuer_id", "all")


def test_a_redactor_that_fails_drops_the_text_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class Unreadable(Exception):
        """Raised nowhere else, because each kind of fault is logged once in a process."""

    def broken(text: str) -> str:
        raise Unreadable(f"cannot read {text}")

    redactor = Redactor((broken,), ())
    with caplog.at_level(logging.WARNING, "otel_callbacks"):
        assert [redactor.clean("Ann"), redactor.clean("Bob")] == [DROPPED, DROPPED]
    (record,) = caplog.records
    assert "redactor" in record.getMessage()
    assert "Ann" not in caplog.text
    assert "cannot read" not in caplog.text


def test_a_redactor_must_return_a_text() -> None:
    assert Redactor((lambda text: None,), ()).clean("Ann") == DROPPED  # type: ignore[arg-type, return-value]


def test_attributes_are_redacted_in_place() -> None:
    attributes = {"a": f"sk-{RANDOM}", "b": ["x", f"sk-{RANDOM}"], "c": 3}
    redact_attributes(attributes)
    assert attributes == {"a": "sk-[redacted:key]", "b": ("x", "sk-[redacted:key]"), "c": 3}


def test_presidio_findings_are_removed() -> None:
    class Analyzer:
        def analyze(self, text: str, language: str) -> list[Any]:
            spans = [("PERSON", 0, 7), ("PERSON", 0, 3), ("CITY", 17, 22)]
            return [SimpleNamespace(entity_type=kind, start=start, end=end) for kind, start, end in spans]

    remove = presidio(Analyzer())
    assert remove("Ann Lee lives in Paris.") == "[redacted:person] lives in [redacted:city]."


def test_findings_of_all_kinds_count_together() -> None:
    rows = [f"person{number}@example.com sk-{RANDOM}{number:04}" for number in range(700)]
    shown = Redactor(("emails",), ()).clean("\n".join([*rows, "the end"]))
    assert shown.endswith("[redacted: the rest]") and shown.count("[redacted:") <= 1_002
    assert RANDOM not in shown and "person" not in shown and "the end" not in shown


@pytest.mark.parametrize("filler", ["", " ", '"', '" ', '\\"', '\\\\\\" ', " " * 12, " " * 30])
@pytest.mark.parametrize("sign", "=:")
def test_quotes_and_spaces_between_a_name_and_its_value(filler: str, sign: str) -> None:
    assert (
        Redactor((), ()).clean(f"Password{filler}{sign} hunter22")
        == f"Password{filler}{sign} [redacted:assigned]"
    )
    for ordinary in (f"Passage{filler}{sign} hunter22", f"password{filler}{sign} optional"):
        assert Redactor((), ()).clean(ordinary) == ordinary


@pytest.mark.parametrize(
    "text",
    ["+49 30 901820x", "x+49 30 901820", "1555-867-5309", "555-867-53090", "+1 23 45 6", "x(555) 867-5309"],
)
def test_a_number_that_is_part_of_another_is_no_phone(text: str) -> None:
    assert Redactor(("phones",), ()).clean(text) == text


def test_each_of_several_phone_numbers_in_a_row_is_removed() -> None:
    text = "+1 555 867 5309 (555) 867-5310 +49 30 901820"
    assert Redactor(("phones",), ()).clean(text) == " ".join(["[redacted:phone]"] * 3)

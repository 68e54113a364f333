import pytest
from many_traces import fleet
from starlette.testclient import TestClient

from otel_callbacks.explore import Traces
from otel_callbacks.explore.ui.application import application
from otel_callbacks.explore.ui.guard import HEADERS, Guard
from otel_callbacks.explore.ui.listing import Source

TOKEN = "a-token"
APPLICATION = application(Source(Traces.of(fleet(2))._open_index))
COOKIE = {"cookie": f"otel_callbacks_ui_8765={TOKEN}"}


def browser() -> TestClient:
    guard = Guard(APPLICATION, TOKEN, 8765, frozenset({"box.example"}))
    return TestClient(guard, base_url="http://127.0.0.1:8765", follow_redirects=False)


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/trace?id=1",
        "/live",
        "/static/ui.css",
        "/static/colours.css",
        "/nowhere",
        "/?token=",
        "/?token=a-toke",
        "/?token=%C3%A9%00",
    ],
)
def test_without_the_token_there_is_nothing(address):
    answer = browser().get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "text/plain; charset=utf-8")
    assert "invoke_workflow" not in answer.text and TOKEN not in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_the_link_becomes_a_cookie_that_scripts_cannot_read():
    answer = browser().get(f"/cost?by=user&token={TOKEN}&tenant=a%26b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "./cost?by=user&tenant=a%26b"
    assert answer.headers["set-cookie"] == f"otel_callbacks_ui_8765={TOKEN}; HttpOnly; Path=/; SameSite=lax"
    follow = TestClient(Guard(APPLICATION, TOKEN, 8765, frozenset()), base_url="http://127.0.0.1:8765")
    page = follow.get(f"/?token={TOKEN}")
    assert page.status_code == 200 and page.url.query == b""
    assert follow.get("/sessions").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/x//evil.example",
        "/javascript:alert(1)",
        "/\\evil.example",
        "/%0d%0aset-cookie:x=1",
    ],
)
def test_the_link_leads_nowhere_else(path):
    answer = browser().get(f"http://127.0.0.1:8765{path}?token={TOKEN}")
    assert answer.status_code == 303 and answer.headers["location"].startswith("./")
    assert "\r" not in answer.headers["location"] and "x" not in answer.cookies


@pytest.mark.parametrize(
    "cookie", ["otel_callbacks_ui_8765=other", f"otel_callbacks_ui_1={TOKEN}", f"token={TOKEN}"]
)
def test_another_cookie_does_not_count(cookie):
    assert browser().get("/", headers={"cookie": cookie}).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:9000",
        "127.0.0.1",
        "127.0.0.1:8765",
        "[::1]:8765",
        "[::1]",
        "192.168.1.7:8765",
        "box.example:8765",
    ],
)
def test_addresses_of_this_machine(host):
    assert browser().get("/", headers={**COOKIE, "host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "localhost@evil.example",
        "[::1",
        "127.0.0.1:x",
    ],
)
def test_a_name_that_somebody_points_here_is_refused(host):
    for headers in (COOKIE, {}):
        answer = browser().get(f"/?token={TOKEN}", headers={**headers, "host": host})
        assert answer.status_code == 400 and "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_the_page_can_only_be_read(method):
    answer = browser().request(method, "/", headers=COOKIE)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/sessions",
        "/live",
        "/nowhere",
        "/static/ui.js",
        "/static/nothing.js",
        "/static/../guard.py",
        "/trace?id=x",
    ],
)
def test_every_answer_forbids_what_the_page_does_not_need(address):
    answer = browser().get(address, headers=COOKIE)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "'unsafe" not in HEADERS["Content-Security-Policy"]
    assert "class Guard" not in answer.text

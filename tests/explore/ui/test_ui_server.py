import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner
from fakes import ScriptedModel
from many_traces import fleet
from ui_pages import Page

from otel_callbacks import OTelCallbackHandler, configure
from otel_callbacks.cli import main
from otel_callbacks.explore import Traces, traces


@pytest.fixture
def fleet_page():
    found = Traces.of(fleet(3))
    page = found.ui()
    yield found, page
    page.stop()


def read(page, path=""):
    """The answer to a browser that follows the link, then goes to a path."""
    with httpx2.Client(follow_redirects=True) as browser:
        assert browser.get(page.url).status_code == 200
        return browser.get(page.address + path)


def test_a_page_over_a_collection(fleet_page, caplog):
    found, page = fleet_page
    assert page.is_local and page.is_running and page.address == f"http://127.0.0.1:{page.port}/"
    with caplog.at_level(logging.DEBUG):
        assert "3 traces" in Page(read(page).text).text
    assert [each for each in caplog.records if "uvicorn" in each.name] == []
    assert httpx2.get(page.address).status_code == 403
    assert found.ui() is page and found.ui(port=page.port) is page
    with pytest.raises(
        ValueError, match=r"port=1: the page runs at http://127\.0\.0\.1:\d+/; stop\(\) it first"
    ):
        found.ui(port=1)
    assert repr(page) == f"<page of traces at {page.url}>"
    assert page._repr_html_().startswith(f'<a href="{page.url}" target="_blank"')
    page.stop()
    page.stop()
    assert (page.is_running, repr(page)) == (False, "<page of traces, stopped>")
    assert page._repr_html_() == "&lt;page of traces, stopped&gt;"
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(page.address)
    again = found.ui()
    assert again is not page and "3 traces" in read(again).text
    again.stop()


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("", 0, "host must be a name or an IP address"),
        (5, 0, "host must be a name or an IP address"),
        ("127.0.0.1", -1, "port must be a whole number from 0"),
        ("127.0.0.1", 70_000, "port must be a whole number from 0"),
        ("127.0.0.1", "80", "port must be a whole number from 0"),
        ("192.0.2.1", 0, "cannot be served at host='192.0.2.1'"),
    ],
)
def test_where_no_page_can_be(host, port, said):
    with pytest.raises((TypeError, ValueError, OSError), match=said):
        Traces.of([]).ui(host=host, port=port)


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"port={port}: .*in use.*; port=0 takes a free port"):
            Traces.of([]).ui(port=port)


@pytest.mark.parametrize("package", ["starlette", "jinja2", "uvicorn"])
def test_without_the_extra(package, monkeypatch, no_providers, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    said = rf"{package} is not installed: pip install 'otel-callbacks\[ui\]'"
    with pytest.raises(ModuleNotFoundError, match=said):
        Traces.of([]).ui()
    with pytest.raises(ModuleNotFoundError, match=said):
        configure(ui=True)
    ran = CliRunner().invoke(main, ["ui"])
    assert (ran.exit_code, ran.output) == (
        1,
        f"Error: {package} is not installed: pip install 'otel-callbacks[ui]'\n",
    )


def test_the_page_beside_an_application_follows_it(no_providers, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(traces, "_page", None)
    telemetry = configure(local=True, file="t.jsonl", service_name="shop")
    assert "page:" not in str(telemetry)
    configure(ui=True)
    page = traces.ui()
    assert f"page: {page.url}" in str(telemetry)
    before = read(page, "live").json()["version"]
    handler = OTelCallbackHandler(tracer_provider=telemetry.tracer_provider)
    ScriptedModel(script=["<b>Paris.</b>"]).invoke(
        "Where?", {"callbacks": [handler], "metadata": {"tenant": "acme"}}
    )
    assert read(page, "live").json()["version"] != before
    shown = Page(read(page, f"trace?id={handler.last_trace.trace_id}").text)
    assert "chat" in shown.rows[1][0]
    telemetry.shutdown()
    assert not page.is_running and "page:" not in str(telemetry)


def test_a_page_that_cannot_be_served_does_not_hurt_the_application(
    no_providers, monkeypatch, tmp_path, caplog
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(traces, "_page", None)

    def no_more(*_, **__):
        raise OSError("too many open files")

    monkeypatch.setattr(socket, "create_server", no_more)
    telemetry = configure(ui=True, local=True)
    assert "too many open files" in caplog.text
    assert telemetry.shutdown()


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_answer_for_its_parent(tmp_path):
    program = """
import os, sys, urllib.request
from otel_callbacks import traces
page = traces.ui()
get = lambda url: urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(url, timeout=10).status
assert get(page.url) == 200
child = os.fork()
if child == 0:
    own = traces.ui()
    right = not page.is_running and page._socket.fileno() == -1 and own.port != page.port and get(own.url) == 200
    os._exit(0 if right else 1)
assert os.waitpid(child, 0)[1] == 0
assert get(page.url) == 200
print(traces.ui() is page)
"""
    ran = run(program, tmp_path)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("True\n", "", 0)


def test_a_notebook_that_nests_loops_can_serve_it(tmp_path):
    program = """
import asyncio, urllib.request
import nest_asyncio
nest_asyncio.apply()
from otel_callbacks import traces
async def cell():
    page = traces.ui()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    return browser.open(page.url, timeout=10).status
print(asyncio.run(cell()))
"""
    ran = run(program, tmp_path)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("200\n", "", 0)


def test_a_page_keeps_no_process_alive_and_leaves_logging_alone(tmp_path):
    program = """
import logging
from otel_callbacks import configure
access, error = (logging.getLogger(f"uvicorn.{name}") for name in ("access", "error"))
access.addHandler(logging.NullHandler())
before = access.handlers, access.propagate, access.level, error.handlers, error.level, logging.root.handlers
print(configure(ui=True, local=True).trace_file is not None)
after = access.handlers, access.propagate, access.level, error.handlers, error.level, logging.root.handlers
print(before == after)
"""
    ran = run(program, tmp_path)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("True\nTrue\n", "", 0)


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    command = [sys.executable, "-m", "otel_callbacks", "ui"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    ) as served:
        link = served.stdout.readline().strip()
        assert httpx2.get(link.partition("?")[0]).status_code == 403
        with httpx2.Client(follow_redirects=True) as browser:
            assert "No traces yet" in browser.get(link).text
        served.send_signal(signal.SIGINT)
        rest, told = served.communicate(timeout=30)
    assert (served.returncode, rest, told) == (0, "", "Press Ctrl-C to stop.\n")


def test_the_command_says_what_it_cannot_read(tmp_path):
    ran = CliRunner().invoke(main, ["ui", str(tmp_path / "nothing.jsonl")])
    assert ran.exit_code == 2 and "nothing.jsonl" in ran.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = CliRunner().invoke(main, ["ui", "--port", str(taken.getsockname()[1])])
    assert ran.exit_code == 2 and "port=0 takes a free port" in ran.output


def test_other_machines_are_let_in_only_when_told():
    page = Traces.of([]).ui(host="0.0.0.0")
    assert not page.is_local and page.address.startswith("http://0.0.0.0:")
    page.stop()

"""Reads the local page as a person and a browser do: its text, tables and links, and what would be loaded or run."""

from html.parser import HTMLParser

from starlette.testclient import TestClient

from otel_callbacks.explore import Traces
from otel_callbacks.explore.ui.application import application
from otel_callbacks.explore.ui.listing import Source

VOID = {"meta", "link", "input", "br", "img", "rect", "line", "option"}
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "header",
        "main",
        "nav",
        "section",
        "div",
        "span",
    ),
    *(
        "a",
        "p",
        "h1",
        "h2",
        "h3",
        "b",
        "code",
        "pre",
        "time",
        "ol",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "details",
        "summary",
    ),
    *("form", "label", "input", "select", "option", "datalist", "button", "svg", "rect", "text", "line"),
    *("table", "thead", "tbody", "tfoot", "tr", "th", "td"),
}
INLINE = {"a", "b", "code", "span", "text", "line", "rect", "svg", "title"}
OWN = {"icon": "static/icon.svg", "stylesheet": ("static/colours.css", "static/ui.css")}


class Page(HTMLParser):
    """One page: its visible `text`, its `tables` as rows of cells, the `links`, and everything with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.text, self.title = html, "", ""
        self.tables, self.links, self.elements, self.open = [], [], [], []
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in INLINE:
            self.handle_data(" ")
        self.elements.append((tag, attributes))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "a":
            self.links.append(attributes["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"{tag} is not closed where it was opened"

    def handle_data(self, data):
        if "title" in self.open and "svg" not in self.open:
            self.title += data
        elif "head" not in self.open:
            self.text += data
            if {"td", "th"} & set(self.open) and "svg" not in self.open:
                self.tables[-1][-1][-1] = " ".join(f"{self.tables[-1][-1][-1]}{data}".split(" ")).replace(
                    "\n", " "
                )

    @property
    def rows(self):
        """The rows of the first table, each cell on one line."""
        return [[" ".join(cell.split()) for cell in row] for row in self.tables[0]] if self.tables else []

    def check_inert(self):
        """Nothing is run, loaded or sent but what is our own."""
        assert not self.open
        for tag, attributes in self.elements:
            assert tag in TAGS, tag
            assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
            match tag:
                case "script":
                    assert attributes == {"src": "static/ui.js", "defer": None}
                case "link":
                    assert attributes["href"] in OWN[attributes["rel"]]
                case "a":
                    assert attributes["href"].startswith(("./", "?", "#", *PAGES)), attributes["href"]
                case "form":
                    assert attributes["action"] in ("./", "cost", "why", "diff")
                case _:
                    assert not {"src", "href", "srcset", "formaction", "data"} & attributes.keys()


PAGES = ("trace", "sessions", "session", "cost", "why", "diff", "span")


def client(traces: Traces) -> TestClient:
    """The page over a collection, without its guard."""
    return TestClient(application(Source(traces._open_index, traces._trace_ids)))


def get(traces: Traces, address: str, status: int = 200) -> Page:
    """One page, which must be inert."""
    answer = client(traces).get(address)
    assert answer.status_code == status, answer.text
    page = Page(answer.text)
    page.check_inert()
    return page

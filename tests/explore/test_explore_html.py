import json
import re

import pytest
from explore_trees import CAPTURED, DEEP, FAN, NASTY, messages, retrieval
from nbconvert.filters.strings import clean_html
from span_trees import AGENT, RAG, SUPERVISOR, span, tree

from otel_callbacks.explore.pictures.html import page, render_html, score_bar
from otel_callbacks.explore.pictures.links import set_links
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.rag.tool_tokens import ToolTokens, ToolUse

TAGS = ("div", "b", "i", "code", "pre", "blockquote")
TRACES = {
    "rag": RAG,
    "agent": AGENT,
    "supervisor": SUPERVISOR,
    "fan": FAN,
    "deep": DEEP,
    "captured": CAPTURED,
}


@pytest.fixture
def links():
    set_links({"jaeger": "http://localhost:16686/trace/{trace_id}"})
    yield
    set_links({})


def test_documents_prompts_and_answers_are_shown():
    text = re.sub(r"</?(div|b|i|code|blockquote)>", "", render_html(CAPTURED))
    assert (
        re.sub(r"</?pre>", "|", text)
        == """
invoke_workflow rag · 1.42 s · 2,310 tokens · $0.0054 · tenant acme · trace 4bf92f3577b34da6a3ce929d0e0e4736
On the critical path: gpt-4o (model) 1.28 s (90%) · between the steps of rag 128 ms (9%) · \
product-docs (retrieval) 5 ms (0%) · bge (rerank) 5 ms (0%)
retrieval product-docs · 2 documents by similarity for reset password
|rank              score  document  source          size  kept  in the prompt  cited
   1  ████████░░  0.831  doc-7     guide.md p. 3    812  ✓     ✓              ✓
      Open Settings.
   2  ████░░░░░░  0.410  doc-2     faq.md #4      1,420  –     –              –
      No.|
rerank bge · 1 document
|rank  was              score  document  in the prompt  cited
   1    1  ██████████  0.970  doc-7     ✓              ✓|
chat gpt-4o
system|Answer from the context.
    Be brief.|
user|How do I reset my password?|
assistant|Open Settings [1].|
chat gpt-4o · 3 messages before
user|thanks|
assistant|You are welcome.|

"""
    )


@pytest.mark.parametrize("name", TRACES)
def test_only_tags_that_the_strictest_sanitiser_keeps(name, links):
    html = render_html(TRACES[name])
    assert clean_html(html) == html


@pytest.mark.parametrize("content", NASTY.values(), ids=NASTY)
def test_everything_is_escaped(content):
    trace = tree(
        span(0, content, 0, 9, error=f"{content}: {content}", app__tenant_id=content),
        retrieval("retrieval x", {"id": content, "source": content, "score": 1}, rag__query=content),
        span(
            *(1, f"chat {content}", 0, 9),
            gen_ai__input__messages=messages((content, content)),
            otel_callbacks__rollup__tools=json.dumps({content: {content: 1}}),
        ),
    )
    html = render_html(trace)
    assert set(re.findall(r"<[^>]*>", html)) <= {f"<{end}{tag}>" for end in ("", "/") for tag in TAGS}
    assert html.replace("\n", "").isprintable()
    assert len(html) < 16_000


def test_without_content_it_says_how_to_record_it():
    html = render_html(RAG)
    assert "content not captured" in html
    assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY" in html


def test_links_lead_to_the_trace_in_back_ends(links):
    address = "http://localhost:16686/trace/4bf92f3577b34da6a3ce929d0e0e4736"
    assert f'<a href="{address}">jaeger</a>' in render_html(RAG)


@pytest.mark.parametrize(
    "template",
    [
        "javascript:alert({trace_id})",
        "http://x/",
        "http://x/{trace_id}/{span_id}",
        "http://x/{trace_id",
        "http://x/{}",
    ],
)
def test_an_invalid_link_is_an_error(template):
    with pytest.raises(ValueError, match=r"links\['x'\]=.* must be an http or https address"):
        set_links({"x": template})


def test_the_tool_table():
    uses = {"search": ToolUse(calls=2, sent_once=1200, resent=4800), "add": ToolUse(calls=1, sent_once=3)}
    used = ToolTokens(uses=uses).to_json()
    trace = tree(span(0, "invoke_agent a", 0, 9, otel_callbacks__rollup__tools=used))
    table = re.search("<pre><code>(.*?)</code></pre>", render_html(trace), re.DOTALL)
    assert table.group(1).splitlines() == [
        "<b>tool    calls  sent once  resent  cached  definition  call</b>",
        "search      2      1,200   4,800       0           0     0",
        "add         1          3       0       0           0     0",
    ]


def test_a_notebook_shows_the_beginning_of_a_long_prompt_and_a_page_more():
    prompt = "\n\n".join(f"line {number:03}" for number in range(300))
    trace = tree(span(0, "chat m", 0, 9, gen_ai__input__messages=messages(("user", prompt))))
    assert "line 011\n… about 2,890 more characters</pre>" in render_html(trace)
    assert "line 299</pre>" in page(trace)


def test_paths_that_begin_alike_can_be_told_apart():
    base = "/srv/corpus/company-handbook/2026/engineering"
    both = [{"id": f"{base}/chapter-{n}.md", "source": f"{base}/chapter-{n}.md", "page": 7} for n in (1, 2)]
    html = render_html(tree(span(0, "r", 0, 9), retrieval("retrieval x", *both)))
    assert re.findall(r"/srv\S* ?\S* +/srv.*7", html) == [
        f"/srv/corpus/…hapter-{n}.md  /srv/corpus/compan…chapter-{n}.md p. 7" for n in (1, 2)
    ]


def test_a_table_fits_a_notebook():
    """Of the columns, that of sources gives way: names of documents are cut already."""
    name = "distutils.msvc9compiler.find_vcvarsall"
    found = {"id": name, "score": 0.5, "source": "distutils/command/msvc9compiler.py", "size": 12_345}
    html = render_html(
        tree(
            span(0, "r", 0, 9),
            retrieval("retrieval x", found),
            retrieval("rerank y", {"id": name}, start=6),
            span(1, "chat m", 12, 1, rag__prompt_documents=(name,), rag__cited_documents=(name,)),
        )
    )
    table = """
rank              score  document                  source           size  kept  in the prompt  cited

   1  █████░░░░░  0.500  distutils.ms…d_vcvarsall  distuti…er.py  12,345  ✓     ✓              ✓
"""
    assert table in re.sub("<[^>]+>", "\n", html)


def test_long_lists_are_cut_short():
    many = [{"id": f"d{n}", "score": 1 / (n + 1)} for n in range(500)]
    html = render_html(tree(span(0, "r", 0, 9), retrieval("retrieval x", *many)))
    assert "… 480 more documents" in html
    assert len(html) < 4000


@pytest.mark.parametrize(
    ("score", "kind", "best", "full"),
    [
        *((0.83, "similarity", 0.83, 8), (1.0, None, 1.0, 10), (-0.2, "similarity", 0.5, 0)),
        *((7.0, "relevance", 14.0, 5), (0.4, "distance", 0.2, 5), (0.0, "distance", 0.0, 10)),
    ],
)
def test_score_bars(score, kind, best, full):
    nothing = dict.fromkeys(RetrievedDocument.__slots__)
    assert score_bar(
        RetrievedDocument(**{**nothing, "score": score, "score_kind": kind}), best
    ) == "█" * full + "░" * (10 - full)


def test_a_page_is_a_complete_document():
    written = page(CAPTURED)
    assert written.startswith("<!DOCTYPE html>")
    assert "<title>invoke_workflow rag</title>" in written
    assert written.index("<svg ") < written.index("retrieval product-docs</b>") < written.index("</html>")


def test_the_critical_path_is_told_if_it_has_more_than_one_step():
    def path(trace):
        return re.findall("On the critical path: (.*)</div>", render_html(trace))

    assert path(tree(span(0, "alone", 0, 5))) == []
    assert path(
        tree(span(0, "<b>", 0, 100), span(1, "execute_tool a", 0, 80), span(1, "execute_tool b", 5, 70))
    ) == [
        "execute_tool a 80 ms (80%) · between the steps of &lt;b&gt; 20 ms (20%)".replace("execute_tool ", "")
    ]
    many = tree(span(0, "root", 0, 100), *(span(1, f"s{n}", n * 5, 5 - n / 10) for n in range(20)))
    assert path(many)[0].endswith("· … 13 more steps")

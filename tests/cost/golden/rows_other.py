"""Cohere, embeddings, rerankers."""

from doings import embed, failing_call, rerank
from llama_index.core.storage.kvstore import SimpleKVStore
from openai_wire import embeddings
from other_wire import cohere, cohere_rerank, gemini, gemini_tokens, token_rerank
from table import KNOWN_OR_SAID, Expect, book, calls, used

COMMAND = "command-r-plus"
COHERE = book(COMMAND, input="2.5", output="10")
BILLED = used((1000, 1071), 200)  # what was billed, or what was read with all that Cohere adds to it
COHERE_ROWS = [
    *calls(
        "billed units, not the tokens read",
        "li.cohere",
        "invoke stream ainvoke",
        model=COMMAND,
        answer=cohere((1000, 200), (1071, 200)),
        prices=COHERE,
        usage=BILLED,
        cost="1000*2.5/1e6 + 200*10/1e6",
        finish="COMPLETE",
    ),
    *calls(
        "billed units, not the tokens read",
        "lc.cohere",
        "stream",
        model=COMMAND,
        answer=cohere((1000, 200), (1071, 200)),
        prices=COHERE,
        usage=BILLED,
        cost="1000*2.5/1e6 + 200*10/1e6",
        finish="COMPLETE",
    ),
    *calls(  # unless it streams, langchain-cohere passes on the tokens read and nothing of what is billed
        "billed units, not the tokens read",
        "lc.cohere",
        "invoke ainvoke",
        model=COMMAND,
        answer=cohere((1000, 200), (1071, 200)),
        prices=COHERE,
        usage=BILLED,
        status=KNOWN_OR_SAID,
        cost="1000*2.5/1e6 + 200*10/1e6",
        finish="COMPLETE",
    ),
    *calls(
        "cut off at the limit",
        "lc.cohere li.cohere",
        "invoke",
        model=COMMAND,
        answer=cohere((1000, 200), (1000, 200), finish="MAX_TOKENS"),
        prices=COHERE,
        usage=used(1000, 200),
        status=KNOWN_OR_SAID,
        cost="1000*2.5/1e6 + 200*10/1e6",
        finish="MAX_TOKENS",
    ),
]
SMALL = "text-embedding-3-small"
EMBEDDINGS = book(SMALL, input="0.02")
EIGHT = {"prompt_tokens": 8, "total_tokens": 8}
EMBEDDING_ROWS = [
    *calls(
        "two texts embedded",
        "lc.openai_embeddings",
        "invoke ainvoke",
        model=SMALL,
        answer=embeddings(EIGHT),
        prices=EMBEDDINGS,
        do=embed("a", "b"),
        usage=used(8),
        cost="8*0.02/1e6",
    ),
    *calls(
        "a query embedded at list price",
        "lc.openai_embeddings",
        "invoke ainvoke",
        model=SMALL,
        answer=embeddings(EIGHT),
        do=embed("a", query=True),
        usage=used(8),
        cost="8*0.02/1e6",
        listed={"provider": "openai", "model": SMALL, "input_mtok": "0.02"},
    ),
    *calls(  # LlamaIndex hands on the vectors and nothing else
        "two texts embedded",
        "li.openai_embeddings",
        "invoke ainvoke",
        model=SMALL,
        answer=embeddings(EIGHT),
        prices=EMBEDDINGS,
        do=embed("a", "b"),
        status=KNOWN_OR_SAID,
        cost="8*0.02/1e6",
        reason="no_usage",
    ),
    *calls(
        "a query embedded",
        "li.openai_embeddings",
        "invoke",
        model=SMALL,
        answer=embeddings(EIGHT),
        prices=EMBEDDINGS,
        do=embed("a", query=True),
        status=KNOWN_OR_SAID,
        cost="8*0.02/1e6",
        reason="no_usage",
    ),
    *calls(
        "a price per request",
        "lc.openai_embeddings li.openai_embeddings",
        "invoke",
        model=SMALL,
        answer=embeddings(EIGHT),
        prices=book(SMALL, per_request="0.001"),
        do=embed("a", query=True),
        cost="0.001",
    ),
    *calls(  # the second time LlamaIndex's own store has the vector
        "the same text twice, with a cache",
        "li.openai_embeddings",
        "invoke",
        model=SMALL,
        answer=embeddings(EIGHT),
        prices=EMBEDDINGS,
        options={"embeddings_cache": SimpleKVStore()},
        do=embed("a", times=2),
        expect=(Expect(status=KNOWN_OR_SAID, cost="8*0.02/1e6"), Expect(status=("cached", None), cost="0")),
    ),
    *calls(  # nothing is sent, so nobody asks what it cost
        "no texts",
        "lc.openai_embeddings li.openai_embeddings",
        "invoke ainvoke",
        model=SMALL,
        answer=embeddings(EIGHT),
        prices=EMBEDDINGS,
        do=embed(),
        status=None,
    ),
]
RERANK = "rerank-v3.5"
ONE = {"top_n": 1}
RERANK_ROWS = [
    *calls(
        "a price per search",
        "lc.cohere_rerank li.cohere_rerank",
        "invoke",
        model=RERANK,
        answer=cohere_rerank(),
        prices=book(RERANK, per_request="0.002"),
        options=ONE,
        do=rerank,
        cost="0.002",
    ),
    *calls(
        "a reranker without a price",
        "lc.cohere_rerank li.cohere_rerank",
        "invoke",
        model=RERANK,
        answer=cohere_rerank(),
        options=ONE,
        do=rerank,
        status="unpriced",
    ),
    *calls(  # the tokens are billed, and the integration keeps them to itself
        "a reranker billed by the token",
        "li.jina_rerank",
        "invoke",
        model="jina-reranker-v2-base-multilingual",
        answer=token_rerank(3000, model="jina-reranker-v2-base-multilingual"),
        prices=book("jina-reranker-v2*", input="0.02"),
        options=ONE,
        do=rerank,
        status=KNOWN_OR_SAID,
        cost="3000*0.02/1e6",
        reason="no_usage",
    ),
    *calls(
        "a reranker billed by the token",
        "li.voyage_rerank",
        "invoke",
        model="rerank-2",
        answer=token_rerank(3000, model="rerank-2", key="data"),
        prices=book("rerank-2", input="0.05"),
        options=ONE,
        do=rerank,
        status=KNOWN_OR_SAID,
        cost="3000*0.05/1e6",
        reason="no_usage",
    ),
]
GEMINI_ROWS = [
    *calls(  # LlamaIndex makes an error of it; the tokens were billed, and nobody hears how many
        "cut off at the limit",
        "li.gemini",
        "invoke stream",
        model="gemini-2.5-flash",
        answer=gemini(gemini_tokens(1000, 200), finish="MAX_TOKENS"),
        prices=book("gemini-2.5-flash", input="0.3", output="2.5"),
        do=failing_call,
        expect=Expect(status=(None, "partial", "unpriced"), cost="1000*0.3/1e6 + 200*2.5/1e6"),
    ),
]
ROWS = [*COHERE_ROWS, *EMBEDDING_ROWS, *RERANK_ROWS, *GEMINI_ROWS]

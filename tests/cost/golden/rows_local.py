"""Servers of one's own: vLLM and Ollama."""

from openai_wire import chat, completion, tokens
from other_wire import ollama
from table import KNOWN_OR_SAID, book, calls, used
from wire import whole

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
OWN = book(LLAMA, host="vllm.gpu.example", input="0.1", cache_read="0.01", output="0.3")
VLLM_ROWS = [
    *calls(
        "a server of one's own, at one's own price",
        "lc.vllm li.vllm",
        "invoke stream ainvoke astream",
        model=LLAMA,
        answer=chat(tokens(1000, 200, into={"cached_tokens": 400}), model=LLAMA),
        prices=OWN,
        usage=used(1000, 200, cache_read=400),
        cost="600*0.1/1e6 + 400*0.01/1e6 + 200*0.3/1e6",
        finish="stop",
    ),
    *calls(
        "a server of one's own without a price",
        "lc.vllm li.vllm",
        "invoke",
        model="gpt-4o",  # what it calls itself is no reason to bill it as OpenAI's
        answer=chat(tokens(1000, 200), model="gpt-4o"),
        usage=used(1000, 200),
        status="unpriced",
        reason="local_endpoint",
    ),
    *calls(
        "a stream that was not asked for usage",
        "lc.vllm li.vllm",
        "stream",
        model=LLAMA,
        answer=chat(tokens(1000, 200), model=LLAMA),
        prices=OWN,
        arguments={"bare": True},
        usage=used(),
        status="unpriced",
        reason="no_usage",
        finish="stop",
    ),
    *calls(  # the count grows from chunk to chunk; the last one is the call's
        "usage so far in every chunk",
        "li.vllm",
        "stream",
        model=LLAMA,
        answer=chat(tokens(1000, 200), model=LLAMA, place="every"),
        prices=OWN,
        usage=used(1000, 200),
        cost="1000*0.1/1e6 + 200*0.3/1e6",
    ),
    *calls(  # LangChain adds the chunks up, so its own usage is four times the prompt
        "usage so far in every chunk",
        "lc.vllm",
        "stream",
        model=LLAMA,
        answer=chat(tokens(1000, 200), model=LLAMA, place="every"),
        prices=OWN,
        status=KNOWN_OR_SAID,
        cost="1000*0.1/1e6 + 200*0.3/1e6",
    ),
    *calls(
        "text completion",
        "lc.vllm_text li.vllm_text",
        "invoke",
        model=LLAMA,
        answer=completion(tokens(1000, 200), model=LLAMA),
        prices=OWN,
        usage=used(1000, 200),
        cost="1000*0.1/1e6 + 200*0.3/1e6",
        finish="stop",
    ),
    *calls(
        "text completion",
        "li.vllm_text",
        "stream",
        model=LLAMA,
        answer=completion(tokens(1000, 200), model=LLAMA),
        prices=OWN,
        usage=used(1000, 200),
        cost="1000*0.1/1e6 + 200*0.3/1e6",
    ),
    *calls(  # vLLM's own API server counts nothing
        "the bare generate endpoint",
        "li.vllm_server",
        "invoke",
        model=None,
        answer=lambda _: whole({"text": ["what is 2 + 2? four"]}),
        prices=book("*", input="0.1", output="0.3"),
        usage=used(),
        status="unpriced",
        reason="no_usage",
        finish=None,
    ),
]
OLLAMA_ROWS = [
    *calls(
        "a model on this machine",
        "lc.ollama li.ollama",
        "invoke stream ainvoke astream",
        model="llama3.2",
        answer=ollama(1000, 200),
        usage=used(1000, 200),
        status="unpriced",
        reason="local_endpoint|unknown_provider",
        finish="stop",
    ),
    *calls(
        "a model on this machine that is declared free",
        "lc.ollama li.ollama",
        "invoke stream",
        model="llama3.2",
        answer=ollama(1000, 200, done="length"),
        prices=book("llama3.2", input="0", output="0"),
        usage=used(1000, 200),
        cost="0",
        finish="length",
    ),
    *calls(
        "a model on this machine at what the machine costs",
        "lc.ollama li.ollama",
        "invoke",
        model="llama3.2",
        answer=ollama(1000, 200),
        prices=book("llama*", input="0.05", output="0.1"),
        usage=used(1000, 200),
        cost="1000*0.05/1e6 + 200*0.1/1e6",
    ),
]
ROWS = [*VLLM_ROWS, *OLLAMA_ROWS]

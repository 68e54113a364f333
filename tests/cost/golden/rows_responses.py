"""OpenAI's Responses and text models, and Azure."""

from openai_wire import chat, completion, response_tokens, responses, tokens
from rows_openai import DETAILED, DETAILS, GPT4O, PLAIN, TIERS
from table import KNOWN_OR_SAID, book, calls, used

BOTH_RESPONSES = "lc.responses li.responses"
ANSWERED = response_tokens(1000, 200, into={"cached_tokens": 400}, out_of={"reasoning_tokens": 64})
RESPONSES = [
    *calls(  # the provider's word is "completed"; "stop" is what the same end is called in a chat
        "Responses",
        BOTH_RESPONSES,
        "invoke stream ainvoke astream",
        model="gpt-4o",
        answer=responses(ANSWERED, service_tier="default"),
        prices=GPT4O,
        usage=DETAILED,
        cost="600*2.5/1e6 + 400*1.25/1e6 + 200*10/1e6",
        finish="stop|completed",
    ),
    *calls(
        "Responses, incomplete at the limit",
        BOTH_RESPONSES,
        "invoke stream ainvoke astream",
        model="gpt-4o",
        answer=responses(ANSWERED, incomplete="max_output_tokens"),
        prices=GPT4O,
        usage=DETAILED,
        cost="600*2.5/1e6 + 400*1.25/1e6 + 200*10/1e6",
        finish="max_output_tokens|length",
    ),
    *calls(
        "Responses, filtered",
        BOTH_RESPONSES,
        "invoke",
        model="gpt-4o",
        answer=responses(ANSWERED, incomplete="content_filter"),
        prices=GPT4O,
        cost="600*2.5/1e6 + 400*1.25/1e6 + 200*10/1e6",
        finish="content_filter",
    ),
    *calls(
        "Responses at the flex tier",
        BOTH_RESPONSES,
        "invoke stream",
        model="gpt-4o",
        answer=responses(ANSWERED, service_tier="flex"),
        prices=TIERS,
        usage=DETAILED,
        cost="600*1.25/1e6 + 400*0.625/1e6 + 200*5/1e6",
    ),
    *calls(  # 10 USD per thousand searches, beside the tokens
        "Responses with two web searches at list price",
        BOTH_RESPONSES,
        "invoke stream",
        model="gpt-4o",
        answer=responses(response_tokens(1000, 200), searches=2),
        cost="1000*2.5/1e6 + 200*10/1e6 + 2*10/1000",
        listed={"provider": "openai", "model": "gpt-4o", "web_searches_kcount": "10"},
        status=(
            "priced",
            "partial",
        ),  # whether a search costs 10 or 25 depends on the model and the tool's version
    ),
    *calls(
        "Responses with two web searches that the book has no price for",
        BOTH_RESPONSES,
        "invoke stream",
        model="gpt-4o",
        answer=responses(response_tokens(1000, 200), searches=2),
        prices=GPT4O,
        status="partial",
        cost=PLAIN,
        reason="search",
    ),
]
BOTH_AZURE = "lc.azure li.azure"
AZURE = [
    *calls(  # priced by what answered, not by the name of the deployment
        "Azure deployment",
        BOTH_AZURE,
        "invoke stream",
        model="chat-prod",
        answer=chat(DETAILS, prompt_filter_results=[]),
        prices=GPT4O,
        usage=DETAILED,
        cost="600*2.5/1e6 + 400*1.25/1e6 + 200*10/1e6",
        finish="stop",
    ),
    *calls(
        "Azure at the priority tier",
        BOTH_AZURE,
        "invoke stream",
        model="chat-prod",
        answer=chat(DETAILS, service_tier="priority"),
        prices=TIERS,
        usage=DETAILED,
        cost="600*4.25/1e6 + 400*2.125/1e6 + 200*17/1e6",
    ),
    *calls(
        "Azure at a tier without a price",
        BOTH_AZURE,
        "invoke",
        model="chat-prod",
        answer=chat(DETAILS, service_tier="priority"),
        prices=book("gpt-4o-x", input="1", output="1"),  # not this model: the list decides
        status=KNOWN_OR_SAID,
        cost="600*4.25/1e6 + 400*2.125/1e6 + 200*17/1e6",
    ),
]
INSTRUCT = book("gpt-3.5-turbo-instruct", input="1.5", output="2")
TEXT = [
    *calls(
        "text model",
        "lc.openai_text li.openai_text",
        "invoke ainvoke",
        model="gpt-3.5-turbo-instruct",
        answer=completion(tokens(1000, 200)),
        prices=INSTRUCT,
        usage=used(1000, 200),
        cost="1000*1.5/1e6 + 200*2/1e6",
        finish="stop",
    ),
    *calls(
        "text model, streamed",
        "li.openai_text",
        "stream astream",
        model="gpt-3.5-turbo-instruct",
        answer=completion(tokens(1000, 200)),
        prices=INSTRUCT,
        usage=used(1000, 200),
        cost="1000*1.5/1e6 + 200*2/1e6",
        finish="stop",
    ),
    *calls(  # langchain-openai asks for no usage when a text model streams
        "text model, streamed",
        "lc.openai_text",
        "stream",
        model="gpt-3.5-turbo-instruct",
        answer=completion(tokens(1000, 200)),
        prices=INSTRUCT,
        usage=used(),
        status="unpriced",
        reason="no_usage",
        finish="stop",
    ),
    *calls(
        "text model at list price, cut off",
        "lc.openai_text li.openai_text",
        "invoke",
        model="gpt-3.5-turbo-instruct",
        answer=completion(tokens(1000, 256), finish="length"),
        usage=used(1000, 256),
        cost="1000*1.5/1e6 + 256*2/1e6",
        finish="length",
        listed={
            "provider": "openai",
            "model": "gpt-3.5-turbo-instruct",
            "input_mtok": "1.5",
            "output_mtok": "2",
        },
    ),
]
ROWS = [*RESPONSES, *AZURE, *TEXT]

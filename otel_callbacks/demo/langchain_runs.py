"""LangChain jobs worth tracing: retrieval-augmented answers, an agent with tools, a team of agents.

Each is ordinary LangChain code; the callbacks it passes on are all that it knows of telemetry.
"""

from collections.abc import Callable, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnablePassthrough
from langchain_core.tools import BaseTool, tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langgraph.prebuilt.tool_node import ToolCallRequest  # all versions have it here
from langgraph.types import Command
from pydantic import SecretStr

from otel_callbacks.demo import corpus
from otel_callbacks.demo.corpus import Doc
from otel_callbacks.demo.endpoint import Endpoint
from otel_callbacks.demo.questions import AGENT_QUESTION, RAG_QUESTION, SUPERVISOR_QUESTION

__all__ = [
    "RUNS",
    "Endpoint",
    "agent",
    "chat_model",
    "embedding_model",
    "index",
    "rag",
    "streamed_rag",
    "supervisor",
]

Callbacks = Sequence[BaseCallbackHandler]

_PROMPT = ChatPromptTemplate(
    [
        (
            "system",
            "Answer from the numbered documents alone and cite them like [1], or say that they do not.",
        ),
        ("human", "Documents:\n{context}\n\nQuestion: {question}"),
    ]
)


def chat_model(endpoint: Endpoint) -> ChatOpenAI:
    """Returns the endpoint's chat model at temperature 0; it reports usage also when it streams."""
    return ChatOpenAI(
        model=endpoint.chat_model,
        base_url=endpoint.base_url,
        api_key=SecretStr(endpoint.api_key),
        temperature=0,
        stream_usage=True,
    )


def embedding_model(endpoint: Endpoint) -> OpenAIEmbeddings:
    """Returns the endpoint's embedding model, with 512 dimensions."""
    return OpenAIEmbeddings(
        model=endpoint.embedding_model,
        base_url=endpoint.base_url,
        api_key=SecretStr(endpoint.api_key),
        dimensions=512,
        chunk_size=250,
        check_embedding_ctx_length=endpoint.is_openai,  # sends token ids, which only OpenAI reads
    )


def index(docs: Sequence[Doc], embeddings: Embeddings, limit: int = 1500) -> InMemoryVectorStore:
    """Embeds documents into a vector store, under their own ids.

    Args:
        docs: The documents.
        embeddings: The embedding model, which chooses its own batch size.
        limit: Indexes at most this many: modules first, then functions, classes and methods.
    """
    store = InMemoryVectorStore(embeddings)
    store.add_documents([_document(doc) for doc in corpus.most_general(docs, limit)])
    return store


def _document(doc: Doc) -> Document:
    metadata = {"module": doc.module, "kind": doc.kind, "source": doc.source, "line": doc.line}
    return Document(id=doc.id, page_content=doc.text, metadata=metadata)


def rag(
    endpoint: Endpoint, store: InMemoryVectorStore, callbacks: Callbacks, question: str = RAG_QUESTION
) -> str:
    """Answers a question from the documents nearest to it."""
    answer: str = _rag_chain(endpoint, store).invoke(question, _config(callbacks))
    return answer


def streamed_rag(
    endpoint: Endpoint, store: InMemoryVectorStore, callbacks: Callbacks, question: str = RAG_QUESTION
) -> str:
    """Answers a question as `rag` does, but streams the answer."""
    return "".join(_rag_chain(endpoint, store).stream(question, _config(callbacks)))


def _rag_chain(endpoint: Endpoint, store: InMemoryVectorStore) -> Runnable[str, str]:
    retriever = store.as_retriever(search_kwargs={"k": 4})
    inputs = {"context": retriever | number_documents, "question": RunnablePassthrough()}
    return (inputs | _PROMPT | chat_model(endpoint) | StrOutputParser()).with_config(run_name="rag")


def number_documents(documents: Sequence[Document]) -> str:
    """Joins the documents, numbered from [1]."""
    return "\n\n".join(f"[{number}] {each.page_content}" for number, each in enumerate(documents, 1))


def _config(callbacks: Callbacks) -> RunnableConfig:
    return {"callbacks": list(callbacks)}


def agent(
    endpoint: Endpoint, store: InMemoryVectorStore, callbacks: Callbacks, question: str = AGENT_QUESTION
) -> str:
    """Lets an agent answer with three tools, one of which fails on its first call."""
    tools = [_search_tool(store), _summary_tool(store), _counting_tool(store)]
    return _ask(_agent(endpoint, "librarian", tools), question, _config(callbacks))


def supervisor(
    endpoint: Endpoint, store: InMemoryVectorStore, callbacks: Callbacks, question: str = SUPERVISOR_QUESTION
) -> str:
    """Lets an agent delegate to another agent, which searches."""
    researcher = _agent(endpoint, "researcher", [_search_tool(store)])

    @tool
    def ask_researcher(question: str, config: RunnableConfig) -> str:
        """Ask a researcher, who looks up how to do things with the standard library."""
        return _ask(researcher, question, config)

    return _ask(_agent(endpoint, "supervisor", [ask_researcher]), question, _config(callbacks))


def _agent(endpoint: Endpoint, name: str, tools: Sequence[BaseTool]) -> Any:
    return create_agent(
        chat_model(endpoint),
        tools,
        name=name,
        system_prompt="Answer questions on Python's standard library. Use the tools; they know, you do not.",
        middleware=[_report_failures],
    )


def _ask(agent: Any, question: str, config: RunnableConfig) -> str:
    state = agent.invoke({"messages": [("user", question)]}, config)
    return str(state["messages"][-1].text)


@wrap_tool_call
def _report_failures(
    request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
) -> ToolMessage | Command[Any]:
    """Reports a failed tool to the model instead of ending the run, so that it may try again."""
    try:
        return handler(request)
    except Exception as error:  # the model learns of whatever the tool raises
        call = request.tool_call
        text = f"Error: {type(error).__name__}: {error}"
        return ToolMessage(text, tool_call_id=call["id"], name=call["name"], status="error")


def _search_tool(store: InMemoryVectorStore) -> BaseTool:
    @tool
    def search_docs(query: str) -> str:
        """Search the documentation of the standard library."""
        return number_documents(store.similarity_search(query, k=4))

    return search_docs


def _summary_tool(store: InMemoryVectorStore) -> BaseTool:
    @tool
    def module_summary(module: str) -> str:
        """Summarise what a module is for."""
        found = store.get_by_ids([module])
        return found[0].page_content if found else f"There is no documentation of {module}."

    return module_summary


def _counting_tool(store: InMemoryVectorStore) -> BaseTool:
    ready = iter([False])

    @tool
    def count_functions(module: str) -> str:
        """Count the public functions that a module documents."""
        if not next(ready, True):
            raise TimeoutError("the index of functions is still being built")
        kinds = [(entry["metadata"]["module"], entry["metadata"]["kind"]) for entry in store.store.values()]
        return f"The module {module} documents {kinds.count((module, 'function'))} functions."

    return count_functions


RUNS: dict[str, Callable[[Endpoint, InMemoryVectorStore, Callbacks], str]] = {
    "rag": rag,
    "streamed_rag": streamed_rag,
    "agent": agent,
    "supervisor": supervisor,
}
"""The jobs by name; each has its own question."""

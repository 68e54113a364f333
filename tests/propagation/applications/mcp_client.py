"""Calls the server's tool: python mcp_client.py langchain|llama-index meta|headers|none PATH-OR-URL."""

import asyncio
import sys

from mcp import ClientSession

from otel_callbacks import attribution, configure, instrument, workflow
from otel_callbacks.propagation import inject

framework, way, address = sys.argv[1:]
configure(service_name="client")
instrument()

if way == "meta":
    call_tool = ClientSession.call_tool

    def with_trace(self, *args, **kwargs):
        return call_tool(self, *args, meta=inject({}, labels=["tenant"]), **kwargs)

    ClientSession.call_tool = with_trace


async def in_headers(request, handler):
    return await handler(request.override(headers=inject(dict(request.headers or {}), labels=["tenant"])))


async def with_langchain() -> None:
    from langchain_mcp_adapters.client import MultiServerMCPClient

    if address.startswith("http"):
        connection = {"transport": "http", "url": address}
    else:
        connection = {"transport": "stdio", "command": sys.executable, "args": [address, "stdio"]}
    interceptors = [in_headers] if way == "headers" else []
    client = MultiServerMCPClient({"geography": connection}, tool_interceptors=interceptors)
    (tool,) = await client.get_tools()
    with attribution(tenant="acme", user="u-7"), workflow("ask"):
        print(str(await tool.ainvoke({"country": "France"})))


async def with_llama_index() -> None:
    from llama_index.tools.mcp import BasicMCPClient, McpToolSpec

    if address.startswith("http"):
        client = BasicMCPClient(address)
    else:
        client = BasicMCPClient(sys.executable, args=[address, "stdio"])
    (tool,) = await McpToolSpec(client).to_tool_list_async()
    with attribution(tenant="acme", user="u-7"), workflow("ask"):
        print(str(await tool.acall(country="France")))


asyncio.run(with_langchain() if framework == "langchain" else with_llama_index())

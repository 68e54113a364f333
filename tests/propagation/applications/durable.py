"""A LlamaIndex workflow on DBOS: `start` puts it into a queue, `go-on` is the process that runs it."""

import asyncio
import os
import sys

from dbos import DBOS
from llama_agents.dbos import DBOSRuntime
from llama_index.core.llms import MockLLM
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent

from otel_callbacks import attribution, configure, instrument, workflow

telemetry = configure(service_name=sys.argv[1])
instrument()
DBOS(
    config={
        "name": "answers",
        "system_database_url": "sqlite:///dbos.sqlite",
        "application_version": "1",
        "run_admin_server": False,
    }
)
runtime = DBOSRuntime()


class Answers(Workflow):
    @step
    async def answer(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=str(await MockLLM().acomplete("q")))


async def start() -> None:
    with attribution(tenant="acme", user="u-7"), workflow("ask"):
        flow.run()
        while not await DBOS.list_workflows_async():
            await asyncio.sleep(0.05)


async def go_on() -> None:
    while not await DBOS.list_workflows_async(status="SUCCESS"):
        await asyncio.sleep(0.1)


async def main() -> None:
    if sys.argv[1] == "start":
        DBOS.listen_queues([])
    await runtime.launch()
    await asyncio.wait_for(start() if sys.argv[1] == "start" else go_on(), 60)
    telemetry.flush()
    os._exit(0)  # DBOS would wait


flow = Answers(runtime=runtime, num_concurrent_runs=1)
asyncio.run(main())

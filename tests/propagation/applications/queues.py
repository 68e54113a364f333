"""Sends a question over a queue, and answers it in another process: python queues.py send|work lists|streams|celery|…

Where Redis is, is in REDIS_URL.
"""

import asyncio
import json
import os
import sys

import celery
import redis
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import run_worker
from celery.signals import worker_process_shutdown
from langchain_core.language_models import FakeListChatModel
from llama_index.core.llms import MockLLM
from rq import Queue, Worker, get_current_job

from otel_callbacks import attribution, configure, instrument, workflow
from otel_callbacks.propagation import extract, inject, share_labels

URL = os.environ["REDIS_URL"]
LABELS = ["tenant"]
telemetry = configure(service_name=os.environ.get("OTEL_SERVICE_NAME", "sender"))
instrument()
client = redis.Redis.from_url(URL)


def ask_models(question: str) -> None:
    FakeListChatModel(responses=["Paris"]).invoke(question)
    MockLLM().complete(question)


# --- Redis lists: the carrier is a field of the message ----------------------------------------


def send_lists() -> None:
    client.rpush("questions", json.dumps({"question": "q", "trace": inject({}, LABELS)}))


def work_lists() -> None:
    message = json.loads(client.blpop("questions", timeout=10)[1])
    with extract(message["trace"], labels=LABELS, link=True, name="answer"):
        ask_models(message["question"])


# --- Redis streams: the message itself is the carrier ----------------------------------------


def send_streams() -> None:
    client.xadd("questions", inject({"question": "q"}, LABELS))


def work_streams() -> None:
    for _, fields in client.xrange("questions"):
        with extract(fields, labels=LABELS, link=True, name="answer"):
            ask_models(fields[b"question"].decode())


# --- Celery: the headers of the task ----------------------------------------

app = celery.Celery("queues", broker=URL)


@app.task(bind=True)
@extract(lambda task, question: task.request.headers, labels=LABELS, link=True, name="answer")
def answer_in_celery(task, question: str) -> None:
    ask_models(question)


@app.task
def answer_instrumented(question: str) -> None:
    ask_models(question)


def send_celery() -> None:
    answer_in_celery.apply_async(["q"], headers=inject({}, LABELS))


def send_celery_instrumented() -> None:
    instrument_celery()
    answer_instrumented.apply_async(
        ["q"], headers=inject({}, LABELS)
    )  # for the labels; the trace needs no line


def instrument_celery() -> None:
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    CeleryInstrumentor().instrument()


@worker_process_shutdown.connect
def flush(**_) -> None:
    telemetry.flush()


# --- RQ: the job's meta ----------------------------------------


@extract(lambda question: get_current_job().meta, labels=LABELS, link=True, name="answer")
def answer_in_rq(question: str) -> None:
    ask_models(question)


def answer_and_flush(question: str) -> None:
    answer_in_rq(question)
    telemetry.flush()  # RQ leaves the process that ran the job without any exit handler


def send_rq() -> None:
    Queue(connection=client).enqueue("queues.answer_and_flush", "q", meta=inject({}, LABELS))


def work_rq() -> None:
    Worker([Queue(connection=client)], connection=client).work(burst=True)


# --- arq: an argument of the job ----------------------------------------


@extract(lambda ctx, question, trace: trace, labels=LABELS)
async def answer_in_arq(ctx: dict, question: str, trace: dict) -> None:
    await asyncio.to_thread(ask_models, question)


def send_arq() -> None:
    async def send() -> None:
        pool = await create_pool(RedisSettings.from_dsn(URL))
        await pool.enqueue_job("answer_in_arq", "q", trace=inject({}, LABELS))
        await pool.aclose()

    asyncio.run(send())


def work_arq() -> None:
    class Settings:
        functions = (answer_in_arq,)
        redis_settings = RedisSettings.from_dsn(URL)
        burst = True

    asyncio.set_event_loop(asyncio.new_event_loop())
    run_worker(Settings)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        with attribution(tenant="acme", user="u-7"), workflow("ask"):
            globals()[f"send_{sys.argv[2]}"]()
    else:
        globals()[f"work_{sys.argv[2]}"]()
elif os.environ.get("INSTRUMENT_CELERY"):  # imported by the worker
    share_labels(LABELS, accept=True)
    instrument_celery()

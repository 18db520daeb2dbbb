"""Real exceptions of the real libraries, made as they raise them."""

import email.utils
import json
import time

import anthropic
import httpx
import nats.errors
import ollama
import openai
import psycopg
import psycopg_pool
import pytest
import redis.exceptions
from langgraph.errors import GraphRecursionError, InvalidUpdateError

from agent_executor.core.classify import classify
from agent_executor.errors import LeaseLost, PermanentError, TemporaryError

ASKED = httpx.Request("POST", "http://model.invalid/v1")
CANARY = "sk-canary-1f2e"


def status(kind, code, *, body=None, headers=None):
    response = httpx.Response(code, request=ASKED, headers=headers or {}, json=body)
    return kind(f"no {CANARY}", response=response, body=(body or {}).get("error", body))


def openai_error(code, **more):
    kind = {400: openai.BadRequestError, 401: openai.AuthenticationError, 404: openai.NotFoundError}
    return status(kind.get(code, openai.APIStatusError), code, **more)


def http_error(code):
    return httpx.HTTPStatusError(CANARY, request=ASKED, response=httpx.Response(code, request=ASKED))


def caused(error, cause):
    error.__cause__ = cause
    return error


QUOTA = {"error": {"message": CANARY, "type": "insufficient_quota", "code": "insufficient_quota"}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": CANARY}}
BROKEN = psycopg.errors.UntranslatableCharacter(CANARY)

PERMANENT = {
    "OpenAI refuses the request": (openai_error(400), "model_rejected"),
    "OpenAI refuses the key": (openai_error(401), "model_unauthorized"),
    "OpenAI refuses the rights": (openai_error(403), "model_unauthorized"),
    "OpenAI has no such model": (openai_error(404), "model_not_found"),
    "OpenAI finds it too large": (openai_error(413), "model_rejected"),
    "OpenAI's quota is used up": (status(openai.RateLimitError, 429, body=QUOTA), "model_quota_exhausted"),
    "Anthropic refuses the request": (status(anthropic.BadRequestError, 400), "model_rejected"),
    "Anthropic refuses the key": (status(anthropic.AuthenticationError, 401), "model_unauthorized"),
    "Anthropic has no such model": (status(anthropic.NotFoundError, 404), "model_not_found"),
    "Ollama has no such model": (ollama.ResponseError(CANARY, 404), "model_not_found"),
    "an address without a scheme": (httpx.UnsupportedProtocol(CANARY), "model_rejected"),
    "PostgreSQL cannot hold a value": (BROKEN, "state_not_storable"),
    "too many supersteps": (GraphRecursionError(CANARY), "limit_exceeded"),
    "a graph that contradicts itself": (InvalidUpdateError(CANARY), "invalid_state"),
    "ours, as it is": (PermanentError("limit_exceeded", "tokens"), "limit_exceeded"),
    "ours, inside another": (caused(RuntimeError(), PermanentError("limit_exceeded", "x")), "limit_exceeded"),
}
TEMPORARY = {
    "OpenAI asks to wait": (status(openai.RateLimitError, 429), "rate_limited"),
    "OpenAI is broken": (status(openai.InternalServerError, 500), "model_unavailable"),
    "OpenAI is away": (status(openai.InternalServerError, 503), "model_unavailable"),
    "OpenAI does not answer": (openai.APITimeoutError(ASKED), "model_timeout"),
    "OpenAI cannot be reached": (openai.APIConnectionError(request=ASKED), "model_unavailable"),
    "Anthropic asks to wait": (status(anthropic.RateLimitError, 429), "rate_limited"),
    "Anthropic is overloaded": (status(anthropic.InternalServerError, 529, body=OVERLOADED), "model_unavailable"),
    "Anthropic is overloaded in the middle": (
        anthropic.APIError(CANARY, ASKED, body=OVERLOADED),
        "model_unavailable",
    ),
    "Anthropic limits in the middle": (
        anthropic.APIError(CANARY, ASKED, body={"error": {"type": "rate_limit_error"}}),
        "rate_limited",
    ),
    "Ollama broke off": (ollama.ResponseError(CANARY, -1), "model_unavailable"),
    "a gateway's 502": (http_error(502), "model_unavailable"),
    "a request timeout": (http_error(408), "model_unavailable"),
    "a stalled stream": (httpx.ReadTimeout(CANARY), "model_timeout"),
    "a connection that was cut": (httpx.RemoteProtocolError(CANARY), "model_unavailable"),
    "a connection that was refused": (httpx.ConnectError(CANARY), "model_unavailable"),
    "a malformed chunk": (json.JSONDecodeError(CANARY, CANARY, 0), "model_unavailable"),
    "PostgreSQL restarts": (psycopg.errors.AdminShutdown(CANARY), "postgres_unavailable"),
    "PostgreSQL is away": (psycopg.OperationalError(CANARY), "postgres_unavailable"),
    "PostgreSQL deadlocks": (psycopg.errors.DeadlockDetected(CANARY), "postgres_unavailable"),
    "the pool is exhausted": (psycopg_pool.PoolTimeout(CANARY), "postgres_unavailable"),
    "NATS is away": (nats.errors.ConnectionClosedError(), "nats_unavailable"),
    "Dragonfly is away": (redis.exceptions.ConnectionError(CANARY), "dragonfly_unavailable"),
    "a timeout": (TimeoutError(CANARY), "timeout"),
    "asyncio's timeout": (TimeoutError(), "timeout"),
    "a broken pipe": (BrokenPipeError(CANARY), "connection_failed"),
    "no memory": (MemoryError(), "out_of_memory"),
    "a bug": (KeyError(CANARY), "internal_error"),
    "a group of them": (ExceptionGroup(CANARY, [httpx.ReadTimeout(CANARY)]), "model_timeout"),
    "what came out of a timeout": (caused(ValueError(CANARY), httpx.ReadTimeout("")), "model_timeout"),
    "ours, as it is": (TemporaryError("nats_unavailable", "x"), "nats_unavailable"),
}


@pytest.mark.parametrize(("error", "type_"), PERMANENT.values(), ids=PERMANENT)
def test_is_final(error, type_):
    found = classify(error)
    assert isinstance(found, PermanentError)
    assert found.type == type_
    assert CANARY not in found.message


@pytest.mark.parametrize(("error", "type_"), TEMPORARY.values(), ids=TEMPORARY)
def test_is_tried_again(error, type_):
    found = classify(error)
    assert isinstance(found, TemporaryError)
    assert found.type == type_
    assert CANARY not in found.message


def in_seconds(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


RETRY_AFTER = {
    "seconds": ({"retry-after": "30"}, 30),
    "fractions": ({"retry-after": "0.5"}, 0.5),
    "milliseconds, which OpenAI prefers": ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
    "a date that is past": ({"retry-after": in_seconds(-60)}, 0),
    "an age": ({"retry-after": "100000000"}, 3600),
    "nonsense": ({"retry-after": "soon"}, None),
    "NaN": ({"retry-after": "nan"}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_the_server_says_when(headers, seconds):
    assert classify(status(openai.RateLimitError, 429, headers=headers)).retry_after == seconds


def test_the_server_says_when_by_the_clock():
    found = classify(status(openai.RateLimitError, 429, headers={"retry-after": in_seconds(60)}))
    assert found.retry_after == pytest.approx(60, abs=5)


def test_an_exception_that_contains_itself_is_classified_all_the_same():
    error = ValueError()
    error.__context__ = KeyError()
    error.__context__.__context__ = error
    assert classify(error).type == "internal_error"


def test_a_lost_lease_is_no_error_of_a_job():
    assert not isinstance(LeaseLost(), PermanentError | TemporaryError)

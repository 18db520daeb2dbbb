"""docs/reference/settings.md, metrics.md and http.md: what the service takes, counts and answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent_executor import settings
from agent_executor.api import main
from agent_executor.telemetry.metrics import Metrics

SETTINGS = """# Settings

Generated from `service/agent_executor/settings.py` by `make generate`.

The service reads its environment once, at its start. A missing or bad value stops the start with one line that names
the variable; an empty variable is an unset one.

In a pod the function sets addresses, names and limits, and the three Secrets give `POSTGRES_*`, `DRAGONFLY_*` and the
two model keys. Any other comes from the claim's `spec.env`, in plain text, `AGENT_EXECUTOR_API_TOKEN` too: whoever may
read the claim or the Deployment reads it.

| variable | default | meaning |
|---|---|---|"""
METRICS = """# Metrics

Generated from `service/agent_executor/telemetry/metrics.py` by `make generate`.

`GET /metrics` answers with these, in the format of Prometheus. A histogram has the usual `_bucket`, `_sum` and
`_count`.

| metric | kind | labels | meaning |
|---|---|---|---|"""
HTTP = """# HTTP API

Generated from `service/agent_executor/api/` by `make generate`. A running service answers with the same as a page at
`/docs` and as an OpenAPI document at `/openapi.json`.

With `AGENT_EXECUTOR_API_TOKEN` set, everything but `/health`, `/ready` and `/metrics` asks for
`Authorization: Bearer <token>`, and answers 401 without it. Errors are `application/problem+json` (RFC 9457), with
`type`, `title`, `status` and `detail`. A job id in a path is percent-encoded, its slashes too."""
# Values without a meaning: the document is the same with any.
ANYWHERE = {
    "NATS_URL": "nats://nats:4222",
    "DRAGONFLY_HOST": "dragonfly",
    "POSTGRES_HOST": "postgres",
    "POSTGRES_DB": "agents",
    "POSTGRES_USER": "agents",
    "POSTGRES_PASSWORD": "secret",
}


def files() -> dict[Path, str]:
    """The three pages, by their paths from the repository's root."""
    pages = {"settings": _settings(), "metrics": _metrics(), "http": _http()}
    return {Path(f"docs/reference/{name}.md"): "\n".join(lines) + "\n" for name, lines in pages.items()}


def _settings() -> Iterator[str]:
    yield SETTINGS
    for name, default, text in settings.reference():
        yield f"| `{name}` | {default if default in ('required', 'unset') else f'`{default}`'} | {_cell(text)} |"


def _metrics() -> Iterator[str]:
    yield METRICS
    for each in Metrics().described():
        labels = ", ".join(f"`{label}`" for label in each.labels)
        yield f"| `{each.name}` | {each.kind} | {labels} | {_cell(each.text)} |"


def _http() -> Iterator[str]:
    yield HTTP
    document = main.create_app(settings.load(ANYWHERE)).openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)
    yield "\n## Shapes"
    for name, schema in document["components"]["schemas"].items():
        yield from _shape(name, schema)


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"\n## `{name}`\n\n{operation['description']}"
    if parameters := operation.get("parameters"):
        yield "\n| parameter | in | meaning |\n|---|---|---|"
        for each in parameters:
            yield f"| `{each['name']}` | {each['in']} | {_cell(each.get('description', ''))} |"
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"\nTakes `{kind}`: {_kind(body['schema'])}."
    yield "\n| answer | body | meaning |\n|---|---|---|"
    for status, answer in sorted(operation["responses"].items()):
        bodies = ", ".join(f"`{kind}`: {_kind(body['schema'])}" for kind, body in answer.get("content", {}).items())
        yield f"| {status} | {bodies} | {_cell(answer['description'])} |"


def _shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"\n### `{name}`\n"
    if text := schema.get("description"):
        yield f"{text}\n"
    yield "| field | type | meaning |\n|---|---|---|"
    required = schema.get("required", ())
    for field, described in schema.get("properties", {}).items():
        kind = _kind(described) + ("" if field in required else ", optional")
        yield f"| `{field}` | {kind} | {_cell(described.get('description', ''))} |"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_kind(schema['items'])}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

"""Model clients, from a definition's `model`: the real ones of LangChain, and our scripted one where it is allowed.

Invariants: a provider's library is imported only when a definition asks for it; a client never retries by itself (the
job's retry policy decides, and it is the one that respects Retry-After); every call streams, so that live events come
as the model speaks; OpenAI is spoken to over Chat Completions throughout.
"""

from typing import TYPE_CHECKING, Any

from agent_executor.errors import PermanentError
from agent_executor.models.parts import Model
from agent_executor.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

NO_KEY = "unused"
"""Sent to a server of one's own that asks for no key: the clients insist on some text."""


def check(model: Model, settings: Settings, path: str) -> None:
    """Raise `PermanentError` at `path` if the platform does not offer the model's provider."""
    missing = None
    match model.provider:
        case "scripted" if not settings.allow_scripted_model:
            missing = "ALLOW_SCRIPTED_MODEL"
        case "openai" if not (settings.openai_api_key or settings.openai_base_url):
            missing = "OPENAI_API_KEY"
        case "anthropic" if not (settings.anthropic_api_key or settings.anthropic_base_url):
            missing = "ANTHROPIC_API_KEY"
        case "ollama" if not settings.ollama_base_url:  # its client would ask this pod's own port 11434
            missing = "OLLAMA_BASE_URL"
    if missing:
        raise PermanentError(
            "invalid_definition", f"{path}.provider: '{model.provider}' is not offered here, it needs {missing}"
        )


def create(model: Model, settings: Settings) -> "BaseChatModel":
    """A client for `model`, checked before by `check`."""
    if model.provider == "scripted":
        from agent_executor.core.scripted import Scripted  # noqa: PLC0415  # imports LangChain

        return Scripted(model=model.model, script=model.script)
    from langchain.chat_models import init_chat_model  # noqa: PLC0415  # slow, and only for those who ask

    client: BaseChatModel = init_chat_model(
        model.model, model_provider=model.provider, **_options(model, settings), **_sampling(model)
    )
    return client


def _options(model: Model, settings: Settings) -> dict[str, Any]:
    if model.provider == "ollama":
        return {
            "base_url": settings.ollama_base_url,
            "client_kwargs": {"timeout": settings.model_timeout_seconds},
            "async_client_kwargs": {"event_hooks": {"request": [_traced]}},
        }
    options = {"timeout": settings.model_timeout_seconds, "max_retries": 0, "streaming": True, "stream_usage": True}
    if model.provider == "anthropic":
        key, url = settings.anthropic_api_key, settings.anthropic_base_url
        return options | {"api_key": key or NO_KEY} | ({"base_url": url} if url else {})
    key, url = settings.openai_api_key, settings.openai_base_url
    # Left alone, deepagents would talk /responses and its sub-agents /chat/completions in one job.
    return options | {
        "api_key": key or NO_KEY,
        "base_url": url,
        "use_responses_api": False,
        "stream_chunk_timeout": settings.model_timeout_seconds,
    }


async def _traced(request: Any) -> None:
    """Send the current trace along with a request, for a client that takes no headers with a call."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415  # for one

    TraceContextTextMapPropagator().inject(request.headers)


def _sampling(model: Model) -> dict[str, Any]:
    limit = "num_predict" if model.provider == "ollama" else "max_tokens"
    given = {"temperature": model.temperature, "top_p": model.top_p, limit: model.max_tokens}
    return {name: value for name, value in given.items() if value is not None}

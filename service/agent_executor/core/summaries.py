"""Summaries of conversations that grow too long: deepagents decides when and of what, the model is asked our way.

Left alone, deepagents asks the model past every other middleware. Invariants: a summary is limited, counted, watched
and checked as the agent's own calls are. What deepagents writes into the state for one is kept only if the call that it
is made for works out: of a step that failed the saver keeps nothing. Imports LangChain and deepagents, so it is
imported late.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

from deepagents.backends import StateBackend
from deepagents.middleware.summarization import SummarizationMiddleware, create_summarization_middleware
from langchain.agents.middleware import AgentMiddleware, ExtendedModelResponse, ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from agent_executor.core import limits
from agent_executor.core.context import JobContext

Response = ModelResponse[Any] | ExtendedModelResponse[Any]


@dataclass(slots=True)
class _Call:
    """The call of an agent's model before which a summary is made, and what that took."""

    request: ModelRequest[JobContext]
    spent: dict[str, int] = field(default_factory=dict)


_calling: ContextVar[_Call] = ContextVar("_calling")


class Summarizer(BaseChatModel):
    """The model as deepagents asks it for summaries, past the agent's own middlewares: `around` it all the same."""

    client: BaseChatModel
    around: Sequence[AgentMiddleware[Any, Any]]

    @property
    def _llm_type(self) -> str:
        return "summarizer"

    def with_retry(self, **_: Any) -> "Summarizer":
        """Once is enough: trying again is the job's business, as with every other call."""
        return self

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """One summary; `config` says that it is one, so that nobody takes its words for the agent's."""
        call = _calling.get()

        async def ask(request: ModelRequest[JobContext]) -> ModelResponse[Any]:
            answer = await self.client.ainvoke(input, config, stop=stop, **kwargs, **request.model_settings)
            return ModelResponse(result=[answer])

        handler: Any = ask
        for one in reversed(self.around):
            handler = partial(one.awrap_model_call, handler=handler)
        messages = cast("list[AnyMessage]", self._convert_input(input).to_messages())
        answer = await handler(call.request.override(messages=messages, system_message=None, tools=[]))
        call.spent = limits.merge(call.spent, answer.command.update[limits.CHANNEL])
        return cast("AIMessage", answer.model_response.result[0])

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError("a call that nobody would count")


class Summaries(AgentMiddleware[Any, JobContext]):
    """deepagents' summaries, by a model that is limited, counted, watched and checked; stands in their place.

    `around` is what stands around the agent's own calls, the outermost (a `Governor`) first.
    """

    state_schema = SummarizationMiddleware.state_schema
    name = SummarizationMiddleware.serialized_name  # by it deepagents replaces its own

    def __init__(self, client: BaseChatModel, around: Sequence[AgentMiddleware[Any, Any]]) -> None:
        super().__init__()
        summarizer = Summarizer(client=client, around=around, profile=client.profile)
        self._theirs: Any = create_summarization_middleware(client, StateBackend(), summarizer=summarizer)

    async def awrap_model_call(
        self,
        request: ModelRequest[JobContext],
        handler: Callable[[ModelRequest[JobContext]], Awaitable[ModelResponse[Any]]],
    ) -> Response:
        """One model call, with a summary before it where the conversation has become too long."""
        call = _Call(request)
        before = _calling.set(call)
        try:
            response: Response = await self._theirs.awrap_model_call(request, handler)
        finally:
            _calling.reset(before)
        if not call.spent:
            return response
        if not isinstance(response, ExtendedModelResponse):
            response = ExtendedModelResponse(response)
        theirs = cast("dict[str, Any]", response.command.update) if response.command else {}
        return replace(response, command=Command(update=theirs | {limits.CHANNEL: call.spent}))

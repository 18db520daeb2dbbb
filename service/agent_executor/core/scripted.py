"""The scripted model: deterministic, offline, stateless.

`echo` answers with the last user message. `plan` plays a list of turns; the turn is the number of answers already in
the conversation, so a resumed job goes on where it was, in any process. After the last turn it says that turn's text
again without its tool calls, which ends the job.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from agent_executor.models.parts import Turn

PIECE = 16  # characters of a tool call's arguments in one chunk
BREATH = 50  # chunks, a few milliseconds, after which everything else on the loop has its turn


class Scripted(BaseChatModel):
    """A chat model that needs no network."""

    model: str
    script: tuple[Turn, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],  # noqa: ARG002  # it calls what it was told to
        *,
        tool_choice: str | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        """The script says which tools are called, so there is nothing to bind."""
        return self.bind(**kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> ChatResult:
        return _whole(list(self._stream(messages, stop, run_manager)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> ChatResult:
        # The base class would sleep in a thread, which nothing can cancel.
        return _whole([chunk async for chunk in self._astream(messages, stop, run_manager)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002  # LangChain's signature
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> Iterator[ChatGenerationChunk]:
        turn, number = self._turn(messages)
        time.sleep(turn.delay_ms / 1000)
        for chunk in _chunks(turn, number, messages):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn, number = self._turn(messages)
        await asyncio.sleep(turn.delay_ms / 1000)
        for i, chunk in enumerate(_chunks(turn, number, messages), 1):
            if i % BREATH == 0:
                await asyncio.sleep(0)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _turn(self, messages: list[BaseMessage]) -> tuple[Turn, int]:
        number = sum(message.type == "ai" for message in messages)
        if self.model == "echo":
            said = next((message.text for message in reversed(messages) if message.type == "human"), "")
            return Turn(text=said), number
        if number < len(self.script):
            return self.script[number], number
        return Turn(text=self.script[-1].text), number


def _chunks(turn: Turn, number: int, messages: list[BaseMessage]) -> Iterator[ChatGenerationChunk]:
    """A turn in pieces: words, then each tool call's name, then its arguments, then usage and the stop reason."""
    words = turn.text.split(" ")
    for i, word in enumerate(words):
        if text := word if i == 0 else f" {word}":
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
    for i, call in enumerate(turn.tool_calls):
        arguments = json.dumps(call.args)
        start = tool_call_chunk(name=call.name, args="", id=f"call_{number}_{i}", index=i)
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[start]))
        for at in range(0, len(arguments), PIECE):
            piece = tool_call_chunk(args=arguments[at : at + PIECE], index=i)
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
    read, spoken = sum(len(message.text.split()) for message in messages), len(turn.text.split())
    end = AIMessageChunk(
        content="",
        response_metadata={"finish_reason": "tool_calls" if turn.tool_calls else "stop", "model_name": "scripted"},
        usage_metadata={"input_tokens": read, "output_tokens": spoken, "total_tokens": read + spoken},
        chunk_position="last",
    )
    yield ChatGenerationChunk(message=end, generation_info={"finish_reason": end.response_metadata["finish_reason"]})


def _whole(chunks: list[ChatGenerationChunk]) -> ChatResult:
    first, *others = (chunk.message for chunk in chunks)
    answer = cast("AIMessageChunk", first)
    for chunk in others:
        answer = answer + chunk  # type: ignore[assignment]  # the sum of message chunks is a message chunk
    message = AIMessage(
        content=answer.content,
        tool_calls=answer.tool_calls,
        response_metadata=answer.response_metadata,
        usage_metadata=answer.usage_metadata,
    )
    return ChatResult(generations=[ChatGeneration(message=message)])

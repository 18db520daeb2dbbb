"""The scripted model: deterministic, stateless, streaming."""

import asyncio
import time

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from agent_executor.core.scripted import Scripted
from agent_executor.models.parts import ScriptedCall, Turn

SCRIPT = (
    Turn(text="First I look.", tool_calls=(ScriptedCall(name="find", args={"q": "a long question"}),)),
    Turn(text="Done."),
)


async def streamed(model: Scripted, *messages: object) -> list[AIMessageChunk]:
    return [chunk async for chunk in model.astream(list(messages))]  # type: ignore[misc]


async def test_echo_answers_with_the_last_user_message() -> None:
    messages = [HumanMessage("one"), AIMessage("two"), HumanMessage("three  four\n"), AIMessage("five")]
    answer = await Scripted(model="echo").ainvoke(messages)
    assert answer.content == "three  four\n"
    assert answer.response_metadata["finish_reason"] == "stop"


async def test_a_plan_goes_on_after_the_answers_that_are_there() -> None:
    model = Scripted(model="plan", script=SCRIPT)
    first = await model.ainvoke([HumanMessage("go")])
    assert first.tool_calls == [
        {"type": "tool_call", "name": "find", "args": {"q": "a long question"}, "id": "call_0_0"}
    ]
    again = await Scripted(model="plan", script=SCRIPT).ainvoke(
        [HumanMessage("go"), first, ToolMessage("found", tool_call_id="call_0_0")]
    )
    assert (again.content, again.tool_calls) == ("Done.", [])


async def test_after_the_last_turn_it_only_says_its_text() -> None:
    model = Scripted(model="plan", script=SCRIPT[:1])
    answer = await model.ainvoke([HumanMessage("go"), AIMessage("x"), AIMessage("y")])
    assert (answer.content, answer.tool_calls) == ("First I look.", [])


async def test_it_streams_words_and_tool_calls_in_pieces() -> None:
    chunks = await streamed(Scripted(model="plan", script=SCRIPT), HumanMessage("go"))
    assert [chunk.content for chunk in chunks if chunk.content] == ["First", " I", " look."]
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert (pieces[0]["name"], pieces[0]["args"]) == ("find", "")
    assert len(pieces) > 2
    assert "".join(piece["args"] or "" for piece in pieces) == '{"q": "a long question"}'
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk  # type: ignore[assignment]
    assert whole.tool_calls[0]["args"] == {"q": "a long question"}


async def test_invoked_and_streamed_it_says_the_same() -> None:
    model = Scripted(model="plan", script=SCRIPT)
    invoked = model.invoke([HumanMessage("go")])
    assert invoked.content == "First I look."
    assert invoked.tool_calls[0]["args"] == {"q": "a long question"}
    assert invoked.usage_metadata == {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}


async def test_tools_can_be_bound_and_change_nothing() -> None:
    bound = Scripted(model="echo").bind_tools([{"type": "function", "function": {"name": "x"}}], tool_choice="any")
    assert (await bound.ainvoke([HumanMessage("hi")])).content == "hi"


async def test_a_delay_does_not_hold_up_others_and_can_be_cancelled() -> None:
    slow = Scripted(model="plan", script=(Turn(text="late", delay_ms=60_000),))
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow.ainvoke([HumanMessage("go")]), 0.05)
    assert time.monotonic() - started < 5


async def test_an_empty_turn_is_an_answer() -> None:
    answer = await Scripted(model="plan", script=(Turn(),)).ainvoke([HumanMessage("go")])
    assert (answer.content, answer.response_metadata["finish_reason"]) == ("", "stop")


@pytest.mark.parametrize("model", ["echo", "plan"])
async def test_many_words_leave_the_loop_its_turns(model: str) -> None:
    words, turns, spoken = "a " * 1000, 0, False

    async def neighbour() -> None:
        nonlocal turns
        while not spoken:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(neighbour())
    script = (Turn(text=words),) if model == "plan" else ()
    chunks = Scripted(model=model, script=script)._astream([HumanMessage(words)])
    said = [chunk.text async for chunk in chunks]
    spoken = True
    await beside
    assert "".join(said) == words
    assert turns > 10

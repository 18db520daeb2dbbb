"""The worker's program: load one tool script, describe it or call it, answer once. Runs behind the walls only.

Whatever goes wrong in here is an answer too: `{"error": text}`, for the model to read, with the script's own lines
only.
"""

import asyncio
import linecache
import os
import shutil
import sys
import traceback
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

import typing_extensions
from langchain.tools import InjectedState, InjectedStore, ToolRuntime
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.tools.base import get_all_basemodel_annotations
from langgraph.types import Command
from pydantic import BaseModel, TypeAdapter

from agent_executor.services.tools import wire

MODULE: Final = "tool_script"
FILE: Final = "<tool script>"
EMPTY: Final[dict[object, Callable[[], object]]] = {dict: dict, list: list, str: str}
REHEARSAL: Final = """
from typing import Annotated, TypedDict
from langchain.tools import InjectedState, ToolRuntime
from langchain_core.tools import tool
from langgraph.types import Command

class Note(TypedDict):
    text: str

@tool
async def rehearse(text: str, runtime: ToolRuntime, files: Annotated[dict, InjectedState("files")], note: Note = None):
    \"\"\"Say nothing.\"\"\"
    return Command(update={"files": files})
"""


class Refused(Exception):  # noqa: N818  # what happened
    """The script is not one that can be run; the message is for its author."""


def serve(channel: int) -> None:
    """Answer the one request that comes on the file descriptor `channel`."""
    request = wire.unpack(_read(channel, wire.length(_read(channel, wire.HEAD.size))))
    answer = wire.pack(respond(request))
    while answer:
        answer = answer[os.write(channel, answer) :]


def respond(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to `{"op": "describe" | "call", "script": ..., ...}`; every failure of the script is one."""
    try:
        tool = load(request["script"])
        answer = describe(tool) if request["op"] == "describe" else call(tool, request)
        wire.pack(answer)  # here, where a failure can still be said
    except Refused as error:
        return {"error": str(error)}
    except BaseException as error:  # noqa: BLE001  # the script may raise anything, SystemExit too; it is data here
        return {"error": explain(error)}
    return answer


def load(source: str) -> BaseTool:
    """Run a script as a module of its own and give its one tool."""
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module  # where get_type_hints looks up the names of postponed annotations
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    exec(compile(source, FILE, "exec"), module.__dict__)  # noqa: S102  # what this process is for
    tools = {id(value): value for value in vars(module).values() if isinstance(value, BaseTool)}
    if len(tools) != 1:
        raise Refused(f"the script defines {len(tools)} tools, and exactly one function with @tool would be right")
    return next(iter(tools.values()))


def describe(tool: BaseTool) -> dict[str, Any]:
    """Name, description, JSON schema without injected arguments, and the fields of the state that it reads."""
    schema = tool.tool_call_schema
    sources = list(injections(tool).values())
    if any(isinstance(source, InjectedStore) for source in sources):
        raise Refused("the tool asks for InjectedStore, and jobs have no store: keep data in the state or in files")
    named = [source.field for source in sources if isinstance(source, InjectedState) and source.field]
    return {
        "name": tool.name,
        "description": tool.description,
        "args_schema": schema if isinstance(schema, dict) else TypeAdapter(schema).json_schema(),
        "state_fields": named if len(named) == len(sources) else None,  # the rest asks for all of it
        "return_direct": tool.return_direct,
    }


class ToolRuntimeSource:
    """Marks an argument that is the ToolRuntime itself."""


def injections(tool: BaseTool) -> dict[str, object]:
    """Argument name to what is injected there: an InjectedState, an InjectedStore or a ToolRuntimeSource."""
    found: dict[str, object] = {}
    for name, annotation in _annotations(tool).items():
        kind = typing.get_origin(annotation) or annotation
        if isinstance(kind, type) and issubclass(kind, ToolRuntime):
            found[name] = ToolRuntimeSource()
        for mark in typing.get_args(annotation)[1:]:
            made = mark() if isinstance(mark, type) and issubclass(mark, InjectedState | InjectedStore) else mark
            if isinstance(made, InjectedState | InjectedStore):
                found[name] = made
    return found


def call(tool: BaseTool, request: Mapping[str, Any]) -> dict[str, Any]:
    """Invoke the tool as LangGraph's ToolNode would, with the state and runtime of the request."""
    state: dict[str, Any] = request["state"]
    call_id: str = request["tool_call_id"]
    config: RunnableConfig = {"configurable": {"thread_id": request["job_id"]}}
    arguments = dict(request["args"])
    annotations = _annotations(tool)
    for name, source in injections(tool).items():
        if isinstance(source, ToolRuntimeSource):
            arguments[name] = ToolRuntime(
                state=state, tool_call_id=call_id, config=config, context=None, store=None, stream_writer=_nowhere
            )
        elif isinstance(source, InjectedState):
            if not source.field:
                arguments[name] = state
            elif source.field in state:
                arguments[name] = state[source.field]
            else:  # a field that nothing has written yet reads as empty
                kind = typing.get_args(annotations[name])[0]
                arguments[name] = EMPTY.get(typing.get_origin(kind) or kind, lambda: None)()
    invocation = {"type": "tool_call", "id": call_id, "name": tool.name, "args": arguments}
    return _answer(
        asyncio.run(tool.ainvoke(invocation, config)) if _is_async(tool) else tool.invoke(invocation, config)
    )


def explain(error: BaseException) -> str:
    """The error with the lines of the script that led to it, and none of ours or a library's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    lines = [f"  line {frame.lineno}, in {frame.name}: {frame.line}" for frame in frames[-5:]]
    if isinstance(error, SyntaxError) and error.filename == FILE:
        lines = [f"  line {error.lineno}: {(error.text or '').strip()}"]
    said = str(error) if not isinstance(error, SystemExit) else f"the script called exit({error.code!r})"
    return "\n".join([f"{type(error).__name__}: {said[:2000]}", *lines])


def prepare() -> None:
    """In the template, before any fork: mend what scripts would stumble over, and play a script of ours.

    pydantic refuses the standard library's TypedDict before Python 3.12, and `shutil.copy` wants to change modes, which
    the walls refuse. The rehearsal fills the lazy imports and caches that each worker would otherwise fill again for
    its one call (20 ms).
    """
    if sys.version_info < (3, 12):
        typing.TypedDict = typing_extensions.TypedDict
    shutil.copymode = shutil.copystat = _no_modes
    request = {"op": "call", "script": REHEARSAL, "args": {"text": ""}, "job_id": "", "tool_call_id": "", "state": {}}
    for operation in ("describe", "call"):
        answer = respond({**request, "op": operation})
        if "error" in answer:
            raise RuntimeError(f"the rehearsal of a tool script failed: {answer['error']}")
    del sys.modules[MODULE]


def _answer(result: Any) -> dict[str, Any]:
    match result:
        case ToolMessage():
            return {"content": result.content, "status": result.status}
        case Command(goto=goto, resume=resume, graph=graph) if goto or resume is not None or graph is not None:
            raise Refused("the tool returned a Command with goto, resume or graph, and only `update` would be right")
        case Command(update=update):
            return {"update": _fields(update)}
        case list() if any(isinstance(each, Command) for each in result):
            raise Refused("the tool returned several Commands, and one would be right")
    return {"content": str(result), "status": "success"}


def _fields(update: Any) -> dict[str, Any]:
    if isinstance(update, BaseModel):
        update = update.model_dump()
    if update is None:
        return {}
    if isinstance(update, list | tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in update):
        update = dict(update)
    if not isinstance(update, Mapping):
        raise Refused("the tool returned a Command whose update is not a dict of state fields")
    return dict(update)


def _annotations(tool: BaseTool) -> dict[str, Any]:
    schema = tool.get_input_schema()
    return dict(get_all_basemodel_annotations(schema))


def _is_async(tool: BaseTool) -> bool:
    return getattr(tool, "coroutine", None) is not None and getattr(tool, "func", None) is None


def _no_modes(src: Any, dst: Any, *, follow_symlinks: bool = True) -> None:
    """Stands for `shutil.copymode` and `copystat`: a worker's files are its own, with one mode for all."""


def _nowhere(_: Any) -> None:
    """Stands for the stream writer: what a script streams is not passed on."""


def _read(channel: int, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = os.read(channel, min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)

"""LangGraph's handlers for its stream modes "messages" and "tools", which tell at once whoever gives them an ear.

Each is deaf to what it does not tell: being asked at the start and end of every node cost a twentieth of a job without
a model. So a message that a node makes up by itself is in the state, and not among the words.
"""

from langgraph.pregel._messages import StreamMessagesHandler
from langgraph.pregel._tools import StreamToolCallHandler


class Words(StreamMessagesHandler):
    """What models say, chunk by chunk: `(namespace, "messages", (chunk, metadata))`."""

    ignore_chain = ignore_agent = True


class Tools(StreamToolCallHandler):
    """What tools begin and come to: `(namespace, "tools", event)`."""

    ignore_chain = ignore_llm = ignore_chat_model = True

"""nats-py's client, made to read every message that a server may send.

A server takes any bytes but blanks and line ends in a subject. Left alone, nats-py stops reading over a subject that is
not UTF-8, and takes a vertical tab or a form feed for the end of one. The connection breaks; the message stays in its
stream and comes again with the next one; so one message kept every process from its work for a day.
"""

import re

from nats.aio import client
from nats.aio.msg import Msg
from nats.protocol import parser

_WORD = rb"[^ \t\r\n]+"
_ARGUMENTS = rb"[ \t]+(%b)[ \t]+(%b)[ \t]+((%b)[ \t]+)?" % (_WORD, _WORD, _WORD)
# The same groups as the library's own, whose blanks are Python's.
parser.MSG_RE = re.compile(rb"\AMSG%b(\d+)\r\n" % _ARGUMENTS)
parser.HMSG_RE = re.compile(rb"\AHMSG%b(\d+)[ \t]+(\d+)\r\n" % _ARGUMENTS)


class Client(client.Client):
    """Reads U+FFFD for what is not UTF-8, as it does itself in headers."""

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        subject, reply = (text.decode(errors="replace").encode() for text in (subject, reply))
        message: Msg = super()._build_message(sid, subject, reply, data, headers)
        return message

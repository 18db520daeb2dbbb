"""The port, taken before the service is imported.

kubelet asks whether a container is ready as soon as it runs, and again a second later where nothing listens. What asks
early waits in this socket's queue instead, and is answered in the moment that the service can. Nothing of the service
is imported here: that takes most of a start.
"""

import socket

from agent_executor.settings import Settings

QUEUE = 2048


class StartError(Exception):
    """The service cannot start: one line that says why."""


def listen(settings: Settings) -> socket.socket:
    """Listen at HTTP_HOST and HTTP_PORT.

    Raises:
        StartError: nothing can listen there.
    """
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    try:
        return socket.create_server((settings.http_host, settings.http_port), family=family, backlog=QUEUE)
    except OSError as error:
        place = f"{settings.http_host}:{settings.http_port}"
        raise StartError(f"HTTP_HOST, HTTP_PORT: cannot listen at {place}: {error.strerror}") from None

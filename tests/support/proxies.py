"""A TCP proxy that can fall silent: it takes and acknowledges what is sent, and passes nothing on."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Proxy:
    """Between a client and a port of this machine; in threads, so that the caller's event loop may be busy."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._passing = threading.Event()
        self._passing.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._over: list[threading.Event] = []
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Pass nothing on, of no connection, until `thaw`."""
        self._passing.clear()

    def thaw(self) -> None:
        """Pass everything on again."""
        self._passing.set()

    def strand(self) -> None:
        """Never pass anything on again of the connections that there are; new ones work."""
        for over in self._over:
            over.set()

    def close(self) -> None:
        """Let nobody wait."""
        self.thaw()
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._sockets.append(near)
        self._passing.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            near.close()
            return
        self._sockets.append(far)
        over = threading.Event()
        self._over.append(over)
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._copy, args=(one, other, over), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket, over: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while some := one.recv(65_536):
                self._passing.wait()
                if not over.is_set():
                    other.sendall(some)
        if not over.is_set():
            for each in (one, other):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(to: int) -> Iterator[Proxy]:
    """A proxy of the block's own."""
    made = Proxy(to)
    try:
        yield made
    finally:
        made.close()

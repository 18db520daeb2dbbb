"""Container image references.

The grammar is that of github.com/distribution/reference: [domain[:port]/]path[:tag][@digest].
"""

import re

from function.addresses import check_host, check_port
from function.invalid import show

MAX_NAME = 255  # the registry API's limit

_LABEL = "([A-Za-z0-9]|[A-Za-z0-9][-A-Za-z0-9]*[A-Za-z0-9])"
_HOST = rf"({_LABEL}(\.{_LABEL})*|\[[0-9A-Fa-f:]+\])"
_PORT = "[0-9]{1,5}"
_COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(/{_COMPONENT})*"
_REST = "(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?"

PATTERN = rf"^({_HOST}(:{_PORT})?/)?{_PATH}{_REST}$"
REGISTRY_PATTERN = rf"^{_HOST}(:{_PORT})?(/{_COMPONENT})*$"
MAX_LENGTH = MAX_NAME + 1 + 128 + 1 + 7 + 128  # name, tag, digest
_REFERENCE = re.compile(rf"(?P<name>((?P<host>{_HOST})(:(?P<port>{_PORT}))?/)?{_PATH}){_REST}")


def check(text: str) -> None:
    """Say of a reference what its pattern cannot.

    Raises:
        ValueError: what is wrong with it, without what may be a password.
    """
    if "://" in text:
        msg = "has no scheme, write ghcr.io/org/agent-executor:v1.0.0"
        raise ValueError(msg)
    if (found := _REFERENCE.fullmatch(text)) is None:
        safe = "@" not in text or text.partition("@")[2].startswith("sha")
        msg = f"{show(text) if safe else 'it'} is not an image reference such as ghcr.io/org/agent-executor:v1.0.0"
        raise ValueError(msg)
    if len(found["name"]) > MAX_NAME:
        msg = f"its name has {len(found['name'])} characters, the most is {MAX_NAME}"
        raise ValueError(msg)
    if found["host"] and found["host"].startswith("["):
        check_host(found["host"])
    check_port(found["port"])


def repository(text: str) -> str:
    """A reference's registry and path, as the container runtime resolves them: `nginx` is docker.io/library/nginx."""
    name = text.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    name = head + slash + tail.partition(":")[0]
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return name
    return f"docker.io/{name if slash else f'library/{name}'}"


def within(text: str, registry: str) -> bool:
    """Whether a reference is in a registry (`ghcr.io`) or below a path of one (`ghcr.io/org`)."""
    return f"{repository(text)}/".startswith(f"{registry}/")

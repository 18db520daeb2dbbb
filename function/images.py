"""Container image references.

The grammar is that of github.com/distribution/reference: [domain[:port]/]path[:tag][@digest].
"""

import re

from function.invalid import show

_HOST = r"([A-Za-z0-9]|[A-Za-z0-9][-A-Za-z0-9]*[A-Za-z0-9])"
_DOMAIN = rf"({_HOST}(\.{_HOST})*|\[[0-9A-Fa-f:]+\])(:[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}"
_DIGEST = "(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})"
_PATH = rf"{_COMPONENT}(/{_COMPONENT})*"

PATTERN = rf"^({_DOMAIN}/)?{_PATH}(:{_TAG})?(@{_DIGEST})?$"
REGISTRY_PATTERN = rf"^{_DOMAIN}(/{_COMPONENT})*$"
MAX_LENGTH = 255 + 1 + 128 + 1 + 7 + 128  # name, tag, digest
_NAME = re.compile(rf"({_DOMAIN}/)?{_PATH}")


def check(text: str) -> None:
    """Say more of a bad reference than its pattern can.

    Raises:
        ValueError: what is wrong with it.
    """
    raise_for = _complaint(text)
    if raise_for:
        raise ValueError(raise_for)


def _complaint(text: str) -> str | None:
    shown = show(text) if "@" not in text.split("@sha", 1)[0] else "it"  # what is before another @ may be a password
    if "://" in text:
        return "an image reference has no scheme, write ghcr.io/org/agent-executor:v1.0.0"
    if (found := _NAME.match(text)) and len(found[0]) > 255:
        return f"its name has {len(found[0])} characters, the most is 255"
    if re.fullmatch(PATTERN, text) is None:
        return f"{shown} is not an image reference such as ghcr.io/org/agent-executor:v1.0.0"
    return None


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

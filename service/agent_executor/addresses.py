"""Addresses as people give them; what cannot be one is a ValueError, without a word of the address."""

import re
from urllib.parse import urlsplit


def nats_urls(text: str) -> str:
    """URLs with commas between them, each of which a client can make something of."""
    for url in text.split(","):
        parts = urlsplit(url.strip())
        # A character of a password that had to be escaped ends the address, and the rest begins with it.
        if not parts.hostname or parts.port == 0 or "@" in parts.path + parts.query + parts.fragment:
            raise ValueError
        if ":" not in parts.hostname:
            parts.hostname.encode("idna")  # as whoever looks the name up does; its error is a ValueError
    return text


def with_commas(value: object) -> object:
    """The parts of a text with commas between them."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def printable(address: str) -> str:
    """An address as it may be printed: without its user, whose password may have any character in it."""
    return re.sub("://.*@", "://", address)

"""Where pods connect to: NATS URLs, host:port pairs and networks.

Invariant: nothing here ever repeats a URL's text, since people paste credentials into URLs: only parsed hosts and
ports.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from function.invalid import show

SCHEMES = ("nats", "tls")  # the service's NATS client speaks no WebSocket
DEFAULT_PORT = 4222
MONITORING_PORT = 8222
MAX_SERVERS = 16

_LABEL = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
_HOST = rf"({_LABEL}(\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])"
_URL = rf"(nats|tls)://{_HOST}(:[0-9]{{1,5}})?/?"
NATS_PATTERN = rf"^{_URL}(,{_URL})*$"
HOST_PORT_PATTERN = rf"^{_HOST}:[0-9]{{1,5}}$"
CIDR_PATTERN = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"

_SERVER = re.compile(rf"(?P<scheme>nats|tls)://(?P<host>{_HOST})(:(?P<port>[0-9]{{1,5}}))?/?")
_PAIR = re.compile(rf"(?P<host>{_HOST}):(?P<port>[0-9]{{1,5}})")

# Where clouds answer a pod with the machine's own credentials, beside the link-local ranges.
METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
METADATA_ADDRESSES = frozenset(
    map(ip_address, ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"))
)
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Server:
    """One NATS server that a claim names."""

    scheme: str
    host: str
    port: int

    @property
    def service(self) -> tuple[str, str | None] | None:
        """The Service (name, namespace) that the host is, namespace None being the pod's own; None when it is none."""
        if self.host.startswith("["):
            return None
        labels = self.host.rstrip(".").split(".")
        if len(labels) == 1:
            return labels[0], None
        if len(labels) == 2:
            return labels[0], labels[1]
        # With one label more it is a pod's own name, below its headless Service.
        for end in (["svc"], ["svc", "cluster", "local"]):
            if labels[-len(end) :] == end and 2 <= len(labels) - len(end) <= 3:
                name, namespace = labels[: -len(end)][-2:]
                return name, namespace
        return None

    def monitoring(self, namespace: str) -> str:
        """The host:port of its monitoring port, seen by a pod in `namespace`."""
        if self.service is None:
            return f"{self.host}:{MONITORING_PORT}"
        # The chart's `nats` Service does not open that port, `nats-headless` does.
        return f"nats-headless.{self.service[1] or namespace}.svc.cluster.local:{MONITORING_PORT}"


@lru_cache(maxsize=1024)
def nats_servers(text: str) -> tuple[Server, ...]:
    """The servers of a comma-separated list of NATS URLs.

    Raises:
        ValueError: what is wrong with which of them, without repeating it.
    """
    if "@" in text:
        msg = "has credentials in it, and a claim is not secret: leave them out of the URL"
        raise ValueError(msg)
    urls = text.split(",")
    if len(urls) > MAX_SERVERS:
        msg = f"has {len(urls)} servers, the most is {MAX_SERVERS}"
        raise ValueError(msg)
    return tuple(_server(url, f"server {n}: " if len(urls) > 1 else "") for n, url in enumerate(urls, 1))


def check_nats_urls(text: str) -> None:
    """Raise ValueError unless this is a list of NATS URLs that a pod may connect to."""
    nats_servers(text)


def check_host_port(text: str) -> None:
    """Raise ValueError unless this is host:port, and not a metadata service."""
    if "@" in text or "://" in text:
        msg = "is host:port without a scheme or credentials, such as nats-headless.nats.svc.cluster.local:8222"
        raise ValueError(msg)
    if found := _PAIR.fullmatch(text):
        check_port(found["port"])
        check_host(found["host"])


def _server(url: str, where: str) -> Server:
    if (found := _SERVER.fullmatch(url)) is None:
        scheme = url.partition("://")[0]
        if re.fullmatch("[a-z][a-z0-9+.-]{0,19}", scheme) and scheme not in SCHEMES and "://" in url:
            msg = f"{where}{scheme!r} is not one of {', '.join(SCHEMES)}"
        else:
            msg = f"{where}is not a NATS URL such as nats://nats.nats.svc:4222"
        raise ValueError(msg)
    try:
        check_port(found["port"])
        check_host(found["host"])
    except ValueError as e:
        msg = f"{where}{e}"
        raise ValueError(msg) from None
    # DNS does not tell NATS.svc from nats.svc, but the label of a namespace does.
    return Server(found["scheme"], found["host"].lower(), int(found["port"] or DEFAULT_PORT))


def check_port(text: str | None) -> None:
    """Raise ValueError unless this is a port, or none."""
    if text is not None and not (1 <= int(text) <= 65535 and text[0] != "0"):
        msg = f"port {text} is not from 1 to 65535"
        raise ValueError(msg)


def check_host(host: str) -> None:
    """Raise ValueError for a host that is no name or address, or that hands out a machine's credentials."""
    if len(host) > 253 or any(len(label) > 63 for label in host.split(".")):
        msg = f"host {show(host)} is too long: 63 characters for a label, 253 in all"
        raise ValueError(msg)
    name = host.rstrip(".").lower()
    if host.startswith("["):
        check_address(_address(host[1:-1], host))
    elif re.fullmatch("[0-9]+|0x[0-9a-f]*", name.rpartition(".")[2]):
        # Resolvers take what ends in a number for an address, 0xA9FEA9FE or 0251.254.43518 too: only the plain form is.
        check_address(_address(name, host))
    elif name in METADATA_NAMES:
        msg = f"{show(host)} is a metadata service, which hands out the machine's credentials"
        raise ValueError(msg)


def _address(text: str, shown: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        msg = f"host {show(shown)} is not an IP address, write 192.0.2.1 or [2001:db8::1]"
        raise ValueError(msg) from None


def check_address(address: IPv4Address | IPv6Address) -> None:
    """Raise ValueError for an address that is no server's, in whatever form IPv6 wraps it."""
    inner = address
    if isinstance(address, IPv6Address):
        nat64 = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        inner = address.ipv4_mapped or address.sixtofour or nat64 or address
    if inner.is_link_local or inner in METADATA_ADDRESSES:
        msg = f"{address} is a link-local or metadata address, which hands out the machine's credentials"
        raise ValueError(msg)
    if inner.is_multicast or inner.is_unspecified:
        msg = f"{address} is not the address of a server"
        raise ValueError(msg)


@lru_cache(maxsize=1024)
def network(text: str) -> IPv4Network | IPv6Network:
    """A CIDR as Kubernetes takes it in a NetworkPolicy.

    Raises:
        ValueError: not one, or one with host bits, or IPv4 in the guise of IPv6, naming the network that was meant.
    """
    try:
        found = ip_network(text)
    except ValueError:
        pass
    else:
        if isinstance(found, IPv6Network) and (mapped := found.network_address.ipv4_mapped) is not None:
            msg = f"{show(text)} is an IPv4 network, write {mapped}/{found.prefixlen - 96}"
            raise ValueError(msg)
        return found
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        msg = f"{show(text)} is not a network such as 203.0.113.0/24 or 2001:db8::/32"
        raise ValueError(msg) from None
    msg = f"{show(text)} has bits set beyond its prefix, write {meant}"
    raise ValueError(msg)


def overlap(one: str, other: str) -> bool:
    """Whether two networks share an address."""
    a, b = network(one), network(other)
    return a.version == b.version and a.overlaps(b)


def inside(inner: str, outer: str) -> bool:
    """Whether every address of one network is in the other."""
    a, b = network(inner), network(outer)
    return (
        a.version == b.version
        and int(b.network_address) <= int(a.network_address)
        and int(a.broadcast_address) <= int(b.broadcast_address)
    )


def may_be_in(host: str, networks: Iterable[str]) -> bool:
    """Whether one of the networks may hold a host: an address has to be in it, what a name resolves to nobody knows."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return any(networks)
    return any(address in network(one) for one in networks)

"""Outgoing HTTP for agents: to hosts that the platform names, and to the very address that was checked.

The name is looked up once per request, every address it has is judged, and the connection goes to one of those
addresses: a name that answers differently the second time gains nothing. TLS is still checked against the name. No
proxy and no other setting is taken from the environment.
"""

import asyncio
import functools
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from agent_executor.errors import shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
PORTS = {"http": 80, "https": 443}
NAT64 = ipaddress.ip_network("64:ff9b::/96")
GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
# What is no address of the internet, from IANA's registries: iana-ipv4-special-registry, iana-ipv6-special-registry,
# and multicast-addresses. Not `is_global`, whose tables differ between releases of Python and lack some of these. Whole
# blocks for protocols count, although a few addresses in them are reachable: none of them answers to a name.
SPECIAL_IPV4 = tuple(map(ipaddress.IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
)))  # fmt: skip
# Within 2000::/3 (iana ipv6-address-space), the one block that the internet's addresses are from: protocols and Teredo,
# documentation, 6to4, documentation again. Outside it are loopback, local, reserved and embedded IPv4 addresses.
SPECIAL_IPV6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# Clouds keep credentials, too, at addresses that are not link-local: AWS's and Google's over IPv6, Alibaba's, Oracle's,
# and Azure's, which is a public one.
CREDENTIALS = tuple(map(ipaddress.ip_network, (
    "fd00:ec2::/32", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
)))  # fmt: skip
# A name server that does not answer keeps a thread for as long as libc waits, which no timeout of ours ends: threads of
# their own, so that nothing but another lookup waits for one.
_LOOKUPS = ThreadPoolExecutor(8, thread_name_prefix="lookup")


class Refused(Exception):  # noqa: N818  # the request is
    """A request that may not be made; the message says why, and is fit for a model and for a definition's author."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet, also when it is an IPv4 one inside an IPv6 one."""
    if (inner := _same(address)) is not None:
        return is_public(inner)
    special: Sequence[Network] = SPECIAL_IPV4 if address.version == 4 else SPECIAL_IPV6
    return (address.version == 4 or address in GLOBAL_IPV6) and not _in(address, (*special, *CREDENTIALS))


def is_a_host(address: Address) -> bool:
    """Whether an address is one that a platform may mean by a name: not one where clouds keep credentials."""
    if (inner := _inner(address)) is not None:
        return is_a_host(inner)
    bad = address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved
    return not bad and not _in(address, CREDENTIALS)


async def lookup(host: str, port: int) -> list[str]:
    """The addresses of a name. `socket.gaierror` when it has none."""
    ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, ask)
    return [str(entry[4][0]) for entry in found]


def check(url: httpx.URL, hosts: Sequence[str]) -> None:
    """`Refused` unless a URL is http or https, without user and password, to a host of the list.

    An entry is a name (`api.example.com`), all names below one (`*.example.com`), an address, or any of them with a
    port; without one the scheme's own port is meant.
    """
    if url.scheme not in PORTS:
        raise Refused(f"{shown(str(url))} is not an http or https URL")
    if url.userinfo:
        raise Refused("the URL has a user or password in it, and none would be right")
    host = url.raw_host.decode("ascii", "replace").lower().rstrip(".")
    port = url.port or PORTS[url.scheme]
    if not any(_matches(host, port, entry.lower(), PORTS[url.scheme]) for entry in hosts):
        raise Refused(f"{shown(f'{host}:{port}')} is not among the hosts that this platform allows")


class CheckedTransport(httpx.AsyncBaseTransport):
    """Checks every request, each redirect's too, and connects to the address that it has checked."""

    def __init__(
        self,
        hosts: Sequence[str],
        judge: Callable[[Address], bool] = is_public,
        *,
        lookup: Lookup = lookup,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = tuple(hosts)
        self._judge = judge
        self._lookup = lookup
        # No connection is kept: one that was verified for a name must not carry another name's request.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=context or _trusting(), limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; `Refused` when it may not be."""
        check(request.url, self._hosts)
        host = request.url.raw_host.decode("ascii")
        address = await self._address(host, request.url.port or PORTS[request.url.scheme])
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # with the Host of the name
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    async def _address(self, host: str, port: int) -> str:
        try:
            found = [ipaddress.ip_address(host.strip("[]"))]
        except ValueError:
            try:
                found = [ipaddress.ip_address(each.partition("%")[0]) for each in await self._lookup(host, port)]
            except (OSError, UnicodeError) as error:
                raise httpx.ConnectError(f"{shown(host)} has no address") from error
        if not found or not all(map(self._judge, found)):
            raise Refused(f"{shown(host)} is at an address that may not be asked (private, local or reserved)")
        return str(found[0])


@functools.cache
def _trusting() -> ssl.SSLContext:
    """What the system trusts. Read once, at the first request: it takes longer than many requests do."""
    return ssl.create_default_context()


def _matches(host: str, port: int, entry: str, default: int) -> bool:
    name, wanted = entry, default
    bare = entry.rpartition(":")
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        wanted = int(rest[1:]) if rest[1:].isdigit() else default
    elif bare[2].isdigit() and ":" not in bare[0] and bare[1]:
        name, wanted = bare[0], int(bare[2])
    if port != wanted:
        return False
    return host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name


def _in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _same(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: what is sent to the one arrives at the other."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address.ipv4_mapped


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """That, or the one that a tunnel of this address ends at."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    return _same(address) or address.sixtofour or (address.teredo[1] if address.teredo else None)

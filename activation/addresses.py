"""Where a destination's name leads: looked up, refused if it leads into a private network, and pinned.

A destination's address is configuration, and configuration is edited by people. A name that resolves to this machine,
to a private network or to a cloud's metadata service would turn the delivery into a way in; a name that resolves to
something harmless when it is checked and to something else when it is used would, too. So the address that was checked
is the one that is connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from activation.errors import NotSentError, StoppedError


def is_loopback(url: str) -> bool:
    """Whether the address is this machine, by name or number."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_public(address: str) -> bool:
    """Whether an IP address is one that a vendor can have: reachable from everywhere, and one machine."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if found in ipaddress.ip_network("64:ff9b::/96"):  # NAT64 leads to the IPv4 address in its last four bytes
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast and not found.is_reserved


def checked_addresses(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The IP addresses behind a name, in the resolver's order.

    Raises:
        NotSentError: if the name has none.
        StoppedError: if one of them is private and that is not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSentError(f"The name of its host cannot be resolved ({type(error).__name__}).") from None
    addresses = [str(each[4][0]) for each in found]
    if not allow_private and not all(is_public(address) for address in addresses):
        raise StoppedError(
            "The name of its host leads into a private network; allow_private = true in its configuration permits that."
        )
    return addresses

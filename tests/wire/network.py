"""A network of its own for cameras, on which packets can be lost: a namespace, a pair of virtual links and nftables.

netem would do more, but is not in every kernel; nftables drops by chance as well.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

#: For tests of networks (RFC 2544); nobody routes it.
_PREFIX: Final = "198.18"
_NUMBERS: Final = itertools.count()
_TABLE: Final = "wire"


class NetworkUnavailableError(RuntimeError):
    """Namespaces cannot be made here; the text says what is missing."""


def require_network() -> None:
    """Raise NetworkUnavailableError with what is missing if namespaces cannot be made here."""
    missing = [package for tool, package in (("ip", "iproute2"), ("nft", "nftables")) if shutil.which(tool) is None]
    if missing:
        raise NetworkUnavailableError(f"on Debian and Ubuntu: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        raise NetworkUnavailableError("a network namespace with a link to it needs root")


@dataclass(slots=True)
class CameraNetwork:
    """A host of its own for cameras, for the time of a `with` block.

    Raises:
        NetworkUnavailableError: it cannot be made here.
    """

    name: str = ""
    #: Address of the host, and of this side of the link.
    address: str = ""
    gateway: str = ""
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        require_network()
        # Runs at the same time must not meet: the process makes the rest of the name and of the address.
        number = (os.getpid() * 16 + next(_NUMBERS)) % (1 << 14)
        self.name = f"wire{number}"
        base = 4 * number
        self.gateway, self.address = (f"{_PREFIX}.{(base + host) >> 8}.{(base + host) & 255}" for host in (1, 2))
        with contextlib.ExitStack() as stack:
            _run("ip", "netns", "add", self.name)
            stack.callback(_run, "ip", "netns", "delete", self.name)
            outer, inner = f"{self.name}o", f"{self.name}i"
            _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
            # The namespace takes its end of the link along, later than it says: the address may be needed again.
            stack.callback(_run, "ip", "link", "delete", outer)
            _run("ip", "address", "add", f"{self.gateway}/30", "dev", outer)
            _run("ip", "link", "set", outer, "up")
            for command in (f"address add {self.address}/30 dev {inner}", f"link set {inner} up", "link set lo up"):
                _run("ip", "-n", self.name, *command.split())
            # Packets of one frame leave as a single large one, which would be lost as a whole: the link cuts it, and
            # what is lost is lost behind the link.
            _run("ip", "-n", self.name, "link", "set", inner, "gso_max_segs", "1")
            # A router answers few packets to nowhere a second, and those of the session that ends may use them up.
            _run(*self.command, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit")
            arriving = f"type filter hook ingress device {outer} priority 0;"
            _run("nft", f"add table netdev {self.name}")
            stack.callback(_run, "nft", f"delete table netdev {self.name}")
            _run("nft", f"add chain netdev {self.name} arriving {{ {arriving} }}")
            self._nft(f"add table inet {_TABLE}")
            for hook in ("input", "output"):
                self._nft(f"add chain inet {_TABLE} {hook} {{ type filter hook {hook} priority 0; }}")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def command(self) -> Sequence[str]:
        """What a command begins with to run on this host."""
        return ("ip", "netns", "exec", self.name)

    def lose(self, per_mille: int) -> None:
        """Lose so many of 1,000 packets that the host sends, at random; said twice is said once."""
        self._lose_none()
        _run("nft", f"add rule netdev {self.name} arriving numgen random mod 1000 < {per_mille} drop")

    def black_hole(self) -> None:
        """Nothing arrives and nothing leaves any more."""
        for hook, name in (("input", "iifname"), ("output", "oifname")):
            self._nft(f"add rule inet {_TABLE} {hook} {name} != lo drop")

    def unroute(self) -> None:
        """Nothing arrives any more, and who sends is told so, as by the last router on the way."""
        # The answer itself must get out. Both at once: between them the stream's packets would be answered.
        self._nft(
            f"add rule inet {_TABLE} input iifname != lo reject with icmpx type host-unreachable; "
            f"add rule inet {_TABLE} output oifname != lo meta l4proto {{ tcp, udp }} drop"
        )

    def mend(self) -> None:
        """Everything gets through again."""
        self._lose_none()
        self._nft(f"flush chain inet {_TABLE} input")
        self._nft(f"flush chain inet {_TABLE} output")

    def _lose_none(self) -> None:
        _run("nft", f"flush chain netdev {self.name} arriving")

    def _nft(self, rule: str) -> None:
        _run(*self.command, "nft", rule)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NetworkUnavailableError(f"{' '.join(command)}: {done.stderr.strip()}")

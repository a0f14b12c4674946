"""One DNS question over UDP (RFC 1035), to know whether the cluster's DNS server answers."""

from __future__ import annotations

import secrets
import socket
import struct

_TIMEOUT = 2.0
_HEADER = struct.Struct("!6H")
_RECURSION_DESIRED = 0x0100
_RESPONSE_CODE = 0x000F
_TYPE_A, _CLASS_IN = 1, 1


def resolves(name: str, server: str, port: int) -> bool:
    """Whether ``server`` knows an IPv4 address of ``name``; False as well when it does not answer."""
    identifier = secrets.randbits(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect((server, port))
            connection.send(question(identifier, name))
            return has_answer(identifier, connection.recv(4096))
        except OSError:
            return False


def question(identifier: int, name: str) -> bytes:
    """The message that asks for the address of ``name``."""
    labels = b"".join(bytes([len(label)]) + label for label in name.encode("ascii").split(b"."))
    header = _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!2H", _TYPE_A, _CLASS_IN)


def has_answer(identifier: int, message: bytes) -> bool:
    """Whether a message answers the question ``identifier`` with at least one record."""
    if len(message) < _HEADER.size:
        return False
    received, flags, _, answers, _, _ = _HEADER.unpack_from(message)
    return received == identifier and not flags & _RESPONSE_CODE and answers > 0

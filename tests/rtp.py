"""NAL units as interleaved RTP packets: what cameras do, written the other way round than the worker reads it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

Codec = Literal["h264", "hevc"]
START_CODE = b"\0\0\0\1"


def interleaved(payload: bytes, channel: int = 0) -> bytes:
    """A frame of interleaved data."""
    return struct.pack(">BBH", 0x24, channel, len(payload)) + payload


@dataclass
class Packetizer:
    """Makes the packets of one stream."""

    codec: Codec
    max_payload: int = 1400
    sequence: int = 0
    payload_type: int = 96

    def picture(self, units: list[bytes], stamp: int, *, aggregate: bool = False, marked: bool = True) -> list[bytes]:
        """Packets of one picture, without interleaving.

        Args:
            units: its NAL units.
            stamp: RTP time stamp.
            aggregate: whether units that fit into one packet share it.
            marked: whether the last packet is.
        """
        payloads: list[bytes] = []
        small: list[bytes] = []
        for unit in units:
            if aggregate and len(unit) < 100:
                small.append(unit)
                continue
            payloads += self._flush(small)
            small = []
            payloads += [unit] if len(unit) <= self.max_payload else self._fragments(unit)
        payloads += self._flush(small)
        return [
            self.packet(payload, stamp, marker=marked and number == len(payloads))
            for number, payload in enumerate(payloads, 1)
        ]

    def packet(self, payload: bytes, stamp: int, *, marker: bool = False) -> bytes:
        """One packet."""
        second = self.payload_type | 0x80 * marker
        header = struct.pack(">BBHII", 0x80, second, self.sequence & 0xFFFF, stamp & 0xFFFFFFFF, 0x1234)
        self.sequence += 1
        return header + payload

    def _flush(self, units: list[bytes]) -> list[bytes]:
        if not units:
            return []
        head = b"\x78" if self.codec == "h264" else b"\x60\x01"
        return [head + b"".join(struct.pack(">H", len(unit)) + unit for unit in units)]

    def _fragments(self, unit: bytes) -> list[bytes]:
        size = 1 if self.codec == "h264" else 2
        body = unit[size:]
        pieces = [body[at : at + self.max_payload] for at in range(0, len(body), self.max_payload)]
        fragments = []
        for number, piece in enumerate(pieces):
            flags = 0x80 * (number == 0) | 0x40 * (number == len(pieces) - 1)
            if self.codec == "h264":
                head = bytes((unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F))
            else:
                head = bytes((unit[0] & 0x81 | 49 << 1, unit[1], flags | unit[0] >> 1 & 0x3F))
            fragments.append(head + piece)
        return fragments


def annex_b(units: list[bytes]) -> bytes:
    """The same units as a byte stream."""
    return b"".join(START_CODE + unit for unit in units)

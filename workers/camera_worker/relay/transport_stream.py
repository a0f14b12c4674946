"""What of MPEG-TS has to be known to let readers in late (ISO/IEC 13818-1). Pure."""

#: Video that MPEG-TS has a stream type for, by FFmpeg's names. Motion JPEG has none: no player would know it.
CODECS = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
_PACKET_BYTES = 188
_SYNC = 0x47
#: PIDs of the program association table and, by FFmpeg's muxer, of the service description and the program map.
_PAT, _SDT, _PMT = 0x0000, 0x0011, 0x1000
_TABLES = frozenset({_PAT, _SDT, _PMT})


class TransportStreamError(ValueError):
    """The bytes are no transport stream."""


def leading_tables(data: bytes) -> bytes:
    """The packets with tables at the beginning; FFmpeg's muxer repeats them only in front of an access unit.

    Raises:
        TransportStreamError: not a whole number of transport packets.
    """
    if len(data) % _PACKET_BYTES:
        raise TransportStreamError(f"{len(data)} bytes are no whole number of transport packets")
    end = 0
    while end < len(data):
        if data[end] != _SYNC:
            raise TransportStreamError("a transport packet without its sync byte")
        if (data[end + 1] & 0x1F) << 8 | data[end + 2] not in _TABLES:
            break
        end += _PACKET_BYTES
    return data[:end]


class TableKeeper:
    """The latest tables of a stream, for readers that come after them.

    They are whole packets of the stream itself: their continuity counters are the ones that the next tables go on from.
    """

    def __init__(self) -> None:
        self._latest: dict[int, bytes] = {}

    def add(self, tables: bytes) -> None:
        """Takes packets with tables, as of ``leading_tables``."""
        for start in range(0, len(tables), _PACKET_BYTES):
            packet = tables[start : start + _PACKET_BYTES]
            self._latest[(packet[1] & 0x1F) << 8 | packet[2]] = packet

    def tables(self) -> bytes:
        """One packet of each table, the association table first."""
        return b"".join(self._latest[pid] for pid in sorted(self._latest))

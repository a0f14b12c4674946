import pytest

from camera_worker.relay.transport_stream import TableKeeper, TransportStreamError, leading_tables


def packet(pid: int, counter: int = 0) -> bytes:
    return bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10 | counter]).ljust(188, b"\xff")


PAT, SDT, PMT, VIDEO = 0x0000, 0x0011, 0x1000, 0x0100


def test_tables_stand_in_front() -> None:
    tables = packet(SDT) + packet(PAT) + packet(PMT)

    assert leading_tables(tables + packet(VIDEO) + packet(PAT)) == tables
    assert leading_tables(packet(VIDEO)) == b""
    assert leading_tables(b"") == b""


@pytest.mark.parametrize("data", [b"\x47", packet(PAT)[:-1], bytes(188)])
def test_what_is_no_transport_stream_is_refused(data: bytes) -> None:
    with pytest.raises(TransportStreamError):
        leading_tables(data)


def test_the_latest_of_each_table_is_kept() -> None:
    keeper = TableKeeper()
    assert keeper.tables() == b""
    keeper.add(packet(SDT, 0) + packet(PAT, 0) + packet(PMT, 0))
    keeper.add(packet(PAT, 1) + packet(PMT, 1))

    assert keeper.tables() == packet(PAT, 1) + packet(SDT, 0) + packet(PMT, 1)

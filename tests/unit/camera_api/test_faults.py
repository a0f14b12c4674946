import re

import pytest

from camera_api.faults import FAULTS, OPTIONAL_FAULTS, Fault, FaultLayer, diagnosis_order


def test_every_fault_is_explained() -> None:
    assert set(FAULTS) == set(Fault)


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_is_named_as_a_condition_reason_and_explained_in_two_clauses(fault: Fault) -> None:
    info = FAULTS[fault]
    assert re.fullmatch(r"([A-Z][a-z]+)+", fault.value)
    for clause in (info.meaning, info.check_first):
        assert clause[0].islower()
        assert not clause.endswith(".")
    assert fault.layer is info.layer


def test_the_fault_that_explains_the_others_comes_first() -> None:
    layers = [
        FaultLayer.OBSERVER,
        FaultLayer.NETWORK,
        FaultLayer.AUTHENTICATION,
        FaultLayer.STREAM,
        FaultLayer.PICTURE,
    ]
    ordered = sorted(Fault, key=diagnosis_order)
    assert [layers.index(fault.layer) for fault in ordered] == sorted(layers.index(fault.layer) for fault in Fault)
    assert min({Fault.FROZEN, Fault.STALLED, Fault.PACKET_LOSS}, key=diagnosis_order) is Fault.STALLED


def test_what_a_picture_shows_follows_from_the_plainest_fault() -> None:
    """A black picture is also out of focus and looks frozen: the reason shown is that it is black."""
    assert min({Fault.FROZEN, Fault.DEFOCUSED, Fault.BLACK}, key=diagnosis_order) is Fault.BLACK


@pytest.mark.parametrize("fault", Fault)
def test_only_measurements_can_be_switched_off(fault: Fault) -> None:
    if fault.layer in {FaultLayer.OBSERVER, FaultLayer.NETWORK, FaultLayer.AUTHENTICATION}:
        assert fault not in OPTIONAL_FAULTS
    if fault.layer is FaultLayer.PICTURE:
        assert fault in OPTIONAL_FAULTS


def test_a_camera_that_delivers_nothing_is_always_faulty() -> None:
    assert {Fault.STALLED, Fault.DISCONNECTED, Fault.STREAM_NOT_FOUND} & set(OPTIONAL_FAULTS) == set()

"""Pacing: which picture at which time, with which timestamp."""

import math

import pytest

from camera_simulator.footage import CLIPS, Clip, Variant
from camera_simulator.playback import Playback

SPEC = CLIPS["h264-720p"]
GROUPS = 3
START = 600.0  # whole groups, so that the scene starts with group 0


def clip(variant: Variant) -> Clip[str]:
    """Pictures named like `black 1.0 key`: variant, group and position."""
    length = 10 if variant is Variant.SLOW else 20
    groups = tuple(tuple(f"{variant.value} {group}.{index}" for index in range(length)) for group in range(GROUPS))
    return Clip(SPEC, variant, groups, "header")


@pytest.fixture
def playback() -> Playback[str]:
    return Playback(clip, START)


def test_first_picture_is_due_at_once_and_is_a_key_frame(playback: Playback[str]) -> None:
    assert playback.next_due == START
    assert list(playback.due(START)) == [("normal 0.0", 0.0)]
    assert list(playback.due(START + 0.09)) == []


def test_pictures_follow_at_the_rate_of_the_clip_with_exact_timestamps(playback: Playback[str]) -> None:
    sent = list(playback.due(START + 0.55))

    assert [name for name, _ in sent] == [f"normal 0.{index}" for index in range(6)]
    assert [timestamp for _, timestamp in sent] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_clip_is_repeated_for_ever_with_rising_timestamps(playback: Playback[str]) -> None:
    sent = [picture for tenth in range(600) for picture in playback.due(START + tenth / 10 + 0.01)]

    timestamps = [timestamp for _, timestamp in sent]
    assert len(sent) == 600
    assert timestamps == pytest.approx([index / 10 for index in range(600)])
    assert [sent[index][0] for index in (0, 20, 40, 60)] == [
        "normal 0.0", "normal 1.0", "normal 2.0", "normal 0.0",
    ]  # fmt: skip


def test_scene_depends_on_the_time_alone() -> None:
    assert list(Playback(clip, START + 2).due(START + 2)) == [("normal 1.0", 0.0)]
    assert list(Playback(clip, START, phase=4).due(START)) == [("normal 2.0", 0.0)]


def test_variant_changes_at_the_next_key_frame_only(playback: Playback[str]) -> None:
    list(playback.due(START + 0.95))
    playback.show(Variant.BLACK)

    names = [name for tenth in range(10, 22) for name, _ in playback.due(START + tenth / 10 + 0.05)]
    assert names == [*(f"normal 0.{index}" for index in range(10, 20)), "black 1.0", "black 1.1"]


def test_held_scene_repeats_one_group_while_timestamps_rise(playback: Playback[str]) -> None:
    list(playback.due(START))
    playback.show(Variant.FROZEN, held_at=START + 5)
    sent = [picture for tenth in range(1, 70) for picture in playback.due(START + tenth / 10 + 0.01)]

    assert {name.split(".")[0] for name, _ in sent[19:]} == {"frozen 2"}
    assert [timestamp for _, timestamp in sent] == pytest.approx([tenth / 10 for tenth in range(1, 70)])


def test_slow_variant_has_half_the_pictures_in_the_same_time() -> None:
    playback = Playback(clip, START)
    playback.show(Variant.SLOW)
    sent = [picture for tenth in range(40) for picture in playback.due(START + tenth / 10 + 0.01)]

    assert [timestamp for _, timestamp in sent] == pytest.approx([index / 5 for index in range(20)])


def test_stall_sends_nothing_and_resuming_starts_with_a_key_frame_at_the_present_time(
    playback: Playback[str],
) -> None:
    list(playback.due(START + 0.5))
    playback.stall()
    assert playback.next_due == math.inf
    assert list(playback.due(START + 3.3)) == []

    playback.resume(START + 3.3)
    [(name, timestamp)] = playback.due(START + 3.3)
    assert name == "normal 1.0"
    assert timestamp == pytest.approx(3.3)


def test_resuming_without_a_stall_changes_nothing(playback: Playback[str]) -> None:
    list(playback.due(START + 0.51))
    playback.resume(START + 0.55)

    [(name, timestamp)] = playback.due(START + 0.61)
    assert name == "normal 0.6"
    assert timestamp == pytest.approx(0.6)


def test_starved_pacer_starts_over_with_a_key_frame_instead_of_rushing(playback: Playback[str]) -> None:
    list(playback.due(START))

    [(name, timestamp)] = playback.due(START + 30)
    assert name == "normal 0.0"
    assert timestamp == pytest.approx(30)

"""Which cameras are accepted, and the first reason why one is not."""

import pytest

from builders import (
    KEYS,
    camera,
    category,
    deleting,
    group,
    observed,
    planned,
    retired,
    under_maintenance,
    unusable,
    with_consent_for,
    with_secret,
)
from camera_operator.conditions import Reason
from camera_operator.decide.acceptance import must_let_go, reject, wants_watching
from camera_operator.decide.model import CameraView, Observed, SecretProblem

EXPIRED = with_consent_for(-1)
BROKEN = unusable("spec.source: must have exactly one of rtsp and http")
KEYLESS = with_secret("keys")


def without_group(*views: CameraView) -> Observed:
    everything = observed(*views)
    return Observed(
        **{
            **{name: getattr(everything, name) for name in Observed.__slots__},
            "group": None,
            "category": None,
        }
    )


def without_category(*views: CameraView) -> Observed:
    everything = observed(*views)
    return Observed(**{**{name: getattr(everything, name) for name in Observed.__slots__}, "category": None})


def reason_of(view: CameraView, everything: Observed) -> Reason | None:
    rejection = reject(view, everything)
    return rejection.reason if rejection is not None else None


def test_a_camera_with_all_that_it_needs_is_accepted() -> None:
    view = camera("door", KEYLESS, with_consent_for(60))

    assert reject(view, observed(view, credentials={"keys": KEYS})) is None


@pytest.mark.parametrize(
    ("view", "problem", "reason", "words"),
    [
        (camera("door", BROKEN), None, Reason.INVALID_SPEC, "spec.source"),
        (camera("door", EXPIRED), None, Reason.CONSENT_EXPIRED, "spec.consent.expiresAt"),
        (camera("door", KEYLESS), None, Reason.SECRET_NOT_FOUND, "'keys'"),
        (camera("door", KEYLESS), SecretProblem.NOT_FOUND, Reason.SECRET_NOT_FOUND, "spec.credentialsSecretRef.name"),
        (camera("door", KEYLESS), SecretProblem.INCOMPLETE, Reason.SECRET_INCOMPLETE, "username and password"),
    ],
)
def test_each_violation_has_its_reason_and_names_the_field(
    view: CameraView, problem: SecretProblem | None, reason: Reason, words: str
) -> None:
    rejection = reject(view, observed(view, credentials={} if problem is None else {"keys": problem}))

    assert rejection is not None
    assert rejection.reason is reason
    assert words in rejection.message


def test_a_missing_group_is_named_with_its_namespace() -> None:
    view = camera("door")

    rejection = reject(view, without_group(view))

    assert rejection is not None
    assert rejection.reason is Reason.GROUP_NOT_FOUND
    assert "'lobby'" in rejection.message
    assert "'city'" in rejection.message


def test_a_group_that_is_being_deleted_takes_no_camera() -> None:
    view = camera("door")

    assert reason_of(view, observed(view, of=group(is_deleting=True))) is Reason.GROUP_DELETING


def test_a_missing_category_is_named() -> None:
    view = camera("door")

    rejection = reject(view, without_category(view))

    assert rejection is not None
    assert rejection.reason is Reason.CATEGORY_NOT_FOUND
    assert "'shops'" in rejection.message


def test_the_first_violation_is_the_one_that_is_told() -> None:
    view = camera("door", EXPIRED, BROKEN, KEYLESS)
    renewed = camera("door", with_consent_for(60), BROKEN, KEYLESS)
    mended = camera("door", with_consent_for(60), KEYLESS)

    assert reason_of(view, without_group(view)) is Reason.CONSENT_EXPIRED
    assert reason_of(renewed, without_group(renewed)) is Reason.INVALID_SPEC
    assert reason_of(mended, without_group(mended)) is Reason.GROUP_NOT_FOUND
    assert reason_of(mended, without_category(mended)) is Reason.CATEGORY_NOT_FOUND
    assert reason_of(mended, observed(mended, in_category=category())) is Reason.SECRET_NOT_FOUND


def test_consent_ends_at_the_very_second() -> None:
    view = camera("door", with_consent_for(10))

    assert reject(view, observed(view, after=9.9)) is None
    assert reason_of(view, observed(view, after=10.0)) is Reason.CONSENT_EXPIRED


def test_owners_decide_which_cameras_are_watched() -> None:
    assert wants_watching(camera("door"))
    assert wants_watching(camera("door", under_maintenance()))
    assert not wants_watching(camera("door", planned()))
    assert not wants_watching(camera("door", retired()))
    assert not wants_watching(camera("door", deleting()))


def test_only_what_the_owner_decided_takes_a_camera_from_its_worker() -> None:
    for view in (camera("door", EXPIRED), camera("door", retired()), camera("door", deleting())):
        assert must_let_go(view, reject(view, observed(view)))
    for view in (camera("door", BROKEN), camera("door", KEYLESS)):
        assert not must_let_go(view, reject(view, observed(view)))


def test_a_long_problem_is_cut_to_what_the_api_server_takes() -> None:
    rejection = reject(view := camera("door", unusable("spec: " + "x" * 5000)), observed(view))

    assert rejection is not None
    assert len(rejection.message) <= 1024

"""Whether a camera can be used as it is declared: an ordered list of checks, of which the first violation counts."""

from collections.abc import Callable

from camera_api.camera import Lifecycle
from camera_operator import conditions
from camera_operator.conditions import Reason, Rejection
from camera_operator.decide.model import CameraView, Observed, SecretProblem


def _consent_holds(camera: CameraView, observed: Observed) -> Rejection | None:
    expires = camera.consent_expires_at
    return None if expires is None or expires > observed.now else conditions.consent_expired(expires)


def _spec_is_valid(camera: CameraView, _observed: Observed) -> Rejection | None:
    if camera.invalid is None and camera.source is not None:
        return None
    return conditions.invalid_spec(camera.invalid or "spec.source is missing")


def _group_exists(camera: CameraView, observed: Observed) -> Rejection | None:
    return None if observed.group is not None else conditions.group_not_found(camera.namespace, camera.group)


def _group_stays(camera: CameraView, observed: Observed) -> Rejection | None:
    if observed.group is None or not observed.group.deleting:
        return None
    return conditions.group_deleting(camera.group)


def _category_exists(_camera: CameraView, observed: Observed) -> Rejection | None:
    if observed.category is not None or observed.group is None:
        return None
    return conditions.category_not_found(observed.group.spec.category, observed.group_name)


def _credentials_are_usable(camera: CameraView, observed: Observed) -> Rejection | None:
    name = camera.credentials_secret
    if name is None:
        return None
    found = observed.credentials.get(name, SecretProblem.NOT_FOUND)
    if found is SecretProblem.NOT_FOUND:
        return conditions.secret_not_found(camera.namespace, name)
    return conditions.secret_incomplete(name) if found is SecretProblem.INCOMPLETE else None


Check = Callable[[CameraView, Observed], Rejection | None]

#: Consent comes first: nothing else that is wrong may keep a camera watched whose owner no longer agrees.
CHECKS: tuple[Check, ...] = (
    _consent_holds,
    _spec_is_valid,
    _group_exists,
    _group_stays,
    _category_exists,
    _credentials_are_usable,
)

_WATCHED_LIFECYCLES = frozenset({Lifecycle.ACTIVE, Lifecycle.MAINTENANCE})


def reject(camera: CameraView, observed: Observed) -> Rejection | None:
    """Why the camera cannot be used as it is declared; None: it can."""
    for check in CHECKS:
        rejection = check(camera, observed)
        if rejection is not None:
            return rejection
    return None


def wants_watching(camera: CameraView) -> bool:
    """Whether the owner wants the camera to be watched at all."""
    return not camera.deleting and camera.lifecycle in _WATCHED_LIFECYCLES


def must_let_go(camera: CameraView, rejection: Rejection | None) -> bool:
    """Whether a camera that is watched must no longer be: its owner decided so.

    Any other rejection is a mistake in what the camera refers to, such as a Secret that is replaced by deleting and
    creating it. As with a pod whose Secret is deleted, what runs goes on with what it has.
    """
    return not wants_watching(camera) or (rejection is not None and rejection.reason is Reason.CONSENT_EXPIRED)

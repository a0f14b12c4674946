"""Whether a camera can be watched: an ordered list of checks, of which the first violation is the reason."""

from collections.abc import Callable

from camera_api.camera import Lifecycle
from camera_operator.conditions import Reason, Rejection
from camera_operator.decide.model import CameraView, Observed, SecretProblem


def _spec_is_valid(camera: CameraView, _observed: Observed) -> Rejection | None:
    if camera.invalid is None and camera.source is not None:
        return None
    return Rejection(Reason.INVALID_SPEC, f"The Camera cannot be used: {camera.invalid or 'spec.source is missing'}.")


def _group_exists(camera: CameraView, observed: Observed) -> Rejection | None:
    if observed.group is None:
        return Rejection(
            Reason.GROUP_NOT_FOUND,
            f"spec.group: there is no CameraGroup {camera.group!r} in namespace {camera.namespace!r}. "
            "Next: create it, or correct spec.group.",
        )
    if observed.group.deleting:
        return Rejection(Reason.GROUP_DELETING, f"spec.group: CameraGroup {camera.group!r} is being deleted.")
    return None


def _category_exists(_camera: CameraView, observed: Observed) -> Rejection | None:
    if observed.category is not None or observed.group is None:
        return None
    return Rejection(
        Reason.CATEGORY_NOT_FOUND,
        f"There is no CameraCategory {observed.group.spec.category!r}, which CameraGroup {observed.group_name!r} "
        "names. Next: create it, for example from deploy/categories.",
    )


def _consent_holds(camera: CameraView, observed: Observed) -> Rejection | None:
    expires = camera.consent_expires_at
    if expires is None or expires > observed.now:
        return None
    return Rejection(
        Reason.CONSENT_EXPIRED,
        f"spec.consent.expiresAt: the owner's agreement ended on {expires:%Y-%m-%d %H:%M} UTC, so the camera is no "
        "longer watched. Next: renew it, or retire the camera.",
    )


def _credentials_are_usable(camera: CameraView, observed: Observed) -> Rejection | None:
    name = camera.credentials_secret
    if name is None:
        return None
    match observed.credentials.get(name, SecretProblem.NOT_FOUND):
        case SecretProblem.NOT_FOUND:
            return Rejection(
                Reason.SECRET_NOT_FOUND,
                f"spec.credentialsSecretRef.name: there is no Secret {name!r} in namespace {camera.namespace!r}. "
                "Next: create it with the keys username and password.",
            )
        case SecretProblem.INCOMPLETE:
            return Rejection(
                Reason.SECRET_INCOMPLETE,
                f"spec.credentialsSecretRef.name: Secret {name!r} needs the keys username and password, both UTF-8.",
            )
    return None


Check = Callable[[CameraView, Observed], Rejection | None]

CHECKS: tuple[Check, ...] = (
    _spec_is_valid,
    _group_exists,
    _consent_holds,
    _category_exists,
    _credentials_are_usable,
)


def reject(camera: CameraView, observed: Observed) -> Rejection | None:
    """Why the camera cannot be watched; None: it can."""
    for check in CHECKS:
        rejection = check(camera, observed)
        if rejection is not None:
            return rejection
    return None


def wants_watching(camera: CameraView) -> bool:
    """Whether the owner wants the camera to be watched at all."""
    return not camera.deleting and camera.lifecycle in {Lifecycle.ACTIVE, Lifecycle.MAINTENANCE}

"""Which cameras a worker may still watch, although it was told to let go of them."""

from collections.abc import Mapping

from camera_operator.decide.model import WorkerView

#: Stands for every camera, where the record of what a worker watches is lost.
ANY_CAMERA = "*"


def may_hold(worker: WorkerView) -> Mapping[str, str]:
    """Worker by camera name: everything the worker may be watching at the moment."""
    names = [camera.name for camera in worker.assignment.cameras] if worker.assignment is not None else []
    names.extend(name for name, revision in worker.released.items() if worker.acknowledged_revision < revision)
    return dict.fromkeys(names, worker.name)

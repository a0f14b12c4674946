"""Which analytics tasks a camera has: its category's, adjusted by its own."""

from collections.abc import Sequence

from camera_api.analytics import TaskDefault, TaskOverride, TaskType

_WITH_LINE = frozenset({TaskType.LINE_CROSSING, TaskType.WRONG_WAY})


def effective_tasks(defaults: Sequence[TaskDefault], overrides: Sequence[TaskOverride]) -> tuple[TaskDefault, ...]:
    """The tasks that are switched on and complete, the category's first.

    Args:
        defaults: of the category.
        overrides: of the camera. Fields that are set replace the default's; a name that the category does not have is a
            further task.
    """
    tasks = {task.name: task for task in defaults}
    for override in overrides:
        own = override.model_dump(exclude_none=True)
        base = tasks.get(override.name)
        if base is not None:
            tasks[override.name] = TaskDefault.model_validate({**base.model_dump(exclude_none=True), **own})
        elif override.type is not None:
            tasks[override.name] = TaskDefault.model_validate(own)
    return tuple(task for task in tasks.values() if task.enabled is not False and _is_complete(task))


def _is_complete(task: TaskDefault) -> bool:
    # A category cannot say where a line runs: without one from the camera there is nothing to look for.
    return task.type not in _WITH_LINE or task.line is not None

"""The condition shape of all kinds: ``metav1.Condition`` with this project's closed set of types."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from camera_api.base import ApiModel, LongText, Timestamp


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One aspect of an object's state (``metav1.Condition``)."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """Aspect that the condition describes, for example Streaming."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """metadata.generation that the condition was worked out from."""
    last_transition_time: Timestamp
    """When status last changed."""
    reason: Annotated[
        str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    """Machine-readable cause in CamelCase."""
    message: LongText = ""
    """What was seen and what to do next, for people."""

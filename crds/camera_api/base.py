"""What every model of the API shares: camelCase on the wire, immutable in memory, bounded strings and lists."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Base of all models.

    Fields are snake_case in Python and camelCase in JSON. Unknown fields are ignored: the API server prunes or
    refuses them, and an assignment or report of a newer release must stay readable during a rollout.
    Models are frozen, so equality of two values is equality of their content.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    def to_json_dict(self) -> dict[str, Any]:
        """The value as JSON types, camelCase, without fields that are unset or null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(cel: str, message: str, *, field_path: str | None = None) -> dict[str, str]:
    """One CEL validation of the CRD schema (``x-kubernetes-validations``).

    Args:
        cel: the expression; ``self`` is the value the rule stands at.
        message: names the field and what is allowed; this is all the user sees when it is refused.
        field_path: where below the value the error is reported, such as ``.metadata.name``.
    """
    validation = {"rule": cel, "message": message}
    if field_path is not None:
        validation["fieldPath"] = field_path
    return validation


def rules(*validations: dict[str, str]) -> dict[str, Any]:
    """``json_schema_extra`` that carries CEL validations into the CRD."""
    return {"x-kubernetes-validations": list(validations)}


def list_map(*keys: str) -> dict[str, Any]:
    """``json_schema_extra`` of a list merged by key under server-side apply."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
LIST_ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

#: A DNS label: names of cameras, groups, Secrets that become part of labels, host names and metric labels.
DnsLabel = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
#: A DNS subdomain: names of Secrets and priority classes.
ObjectName = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    ),
]
ShortText = Annotated[str, StringConstraints(max_length=128)]
LongText = Annotated[str, StringConstraints(max_length=1024)]
#: An RFC 3339 date and time. Kept as text: it is compared and shown, and the API server has validated it.
Timestamp = Annotated[str, StringConstraints(max_length=64), Field(json_schema_extra={"format": "date-time"})]

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


#: Key of ``json_schema_extra`` for the message of a pattern; the renderer takes it out again.
PATTERN_MESSAGE = "x-pattern-message"


def rule(cel: str, message: str, *, field_path: str | None = None) -> dict[str, str]:
    """One CEL validation of the CRD schema (``x-kubernetes-validations``).

    Args:
        cel: the expression; ``self`` is the value the rule stands at.
        message: what is allowed. It completes "spec.field: ", so it does not name the field that it stands at.
        field_path: where below the value the error is reported, such as ``.metadata.name``; the schema must have it.
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


def says(message: str) -> dict[str, str]:
    """``json_schema_extra`` with the message of the string's pattern.

    Without it, the API server answers a mismatch with the regular expression. With it, the pattern becomes a CEL
    rule of that message. The message completes "spec.field: ": it does not name the field.
    """
    return {PATTERN_MESSAGE: message}


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
LIST_ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

DNS_LABEL_MESSAGE = (
    "must be a DNS label: 1 to 63 lower-case letters, digits and '-', starting and ending with a letter or digit"
)
#: A DNS label: names of cameras, groups, Secrets that become part of labels, host names and metric labels.
DnsLabel = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
    Field(json_schema_extra=says(DNS_LABEL_MESSAGE)),
]
#: A DNS subdomain: names of Secrets and priority classes.
ObjectName = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    ),
    Field(
        json_schema_extra=says(
            "must be the name of an object: 1 to 253 lower-case letters, digits, '-' and '.', "
            "starting and ending with a letter or digit"
        )
    ),
]
ShortText = Annotated[str, StringConstraints(max_length=128)]
LongText = Annotated[str, StringConstraints(max_length=1024)]
#: An RFC 3339 date and time that a program wrote. Kept as text: it is compared and shown.
Timestamp = Annotated[str, StringConstraints(max_length=64), Field(json_schema_extra={"format": "date-time"})]
_DEADLINE_MESSAGE = "must be an RFC 3339 date and time with a time zone, such as 2030-01-31T18:00:00Z"
#: An RFC 3339 date and time that a person wrote. Not ``format: date-time``: the API server takes that without a
#: time zone as well, and then nobody knows when it is.
Deadline = Annotated[
    str,
    StringConstraints(
        max_length=40,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$",
    ),
    Field(
        json_schema_extra={
            **says(_DEADLINE_MESSAGE),
            # Its shape is right; whether there is such a day (2030-02-30) and hour is another question.
            "x-kubernetes-validations": [
                rule(
                    "!self.matches('^[0-9T:.-]+(Z|[+-][0-9:]+)$') || !format.datetime().validate(self).hasValue()",
                    _DEADLINE_MESSAGE,
                )
            ],
        }
    ),
]

"""CEL rules of URLs in specifications."""

from typing import Any

from camera_api.base import rule, rules

#: Query parameters in which cheap cameras take user and password, in lower case.
CREDENTIAL_PARAMETERS = (
    "user",
    "username",
    "usr",
    "loginuse",
    "password",
    "passwd",
    "pwd",
    "pass",
    "loginpas",
)

_HOST = r"([A-Za-z0-9_]([-._A-Za-z0-9]*[A-Za-z0-9_])?|\\[[0-9A-Fa-f:.]+\\])"
_PARAMETERS = f"(?i)[/?&;]({'|'.join(CREDENTIAL_PARAMETERS)})="


def url_rules(schemes: tuple[str, ...], example: str) -> dict[str, Any]:
    """``json_schema_extra`` of a URL field: one of the schemes, a host, and a port that exists.

    The API server quotes the value in what it answers, so these rules keep quiet about a URL with credentials.
    ``credential_rules`` refuse that one.

    Args:
        schemes: what the URL may start with.
        example: a URL that is right.
    """
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    shape = f"self.matches('^({'|'.join(schemes)})://{_HOST}(:[0-9]+)?([/?#][!-~]*)?$')"
    secret = f"self.contains('@') || self.matches('{_PARAMETERS}')"
    return rules(
        rule(
            f"{secret} || {shape}",
            f"must be a URL that starts with {wanted}, names a host and has no spaces, such as {example}",
        ),
        rule(
            f"{secret} || !{shape} || url(self).getPort() == '' || (url(self).getPort().size() <= 5 "
            "&& int(url(self).getPort()) >= 1 && int(url(self).getPort()) <= 65535)",
            "must have a port between 1 and 65535, or none for the usual port",
        ),
    )


def credential_rules(field: str, secret_field: str) -> tuple[dict[str, str], dict[str, str]]:
    """Rules of the object that has a URL field: the URL holds no credentials.

    They stand at the object because the API server quotes the value that a rule stands at, unless it is an object:
    its answer to a password in a URL must not carry the password into the log of a pipeline.

    User info is recognised by any ``@``: a password may hold ``/`` or ``?``, which end the authority too early.
    Some cameras have parameters in the path (``/user=admin&password=``).

    Args:
        field: name of the URL field.
        secret_field: the field that names the Secret for credentials, for the messages.
    """
    advice = f"put them into a Secret and name it in {secret_field}"
    absent = f"!has(self.{field})"
    user_info = f"self.{field}.contains('@')"
    return (
        rule(
            f"{absent} || !{user_info}",
            f"must not hold a user name or password (nor any other '@', which is spelled %40): {advice}",
            field_path=f".{field}",
        ),
        rule(
            f"{absent} || {user_info} || !self.{field}.matches('{_PARAMETERS}')",
            f"must not hold credentials as parameters ({', '.join(CREDENTIAL_PARAMETERS)}): {advice}",
            field_path=f".{field}",
        ),
    )

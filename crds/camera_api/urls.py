"""CEL rules of URLs in specifications."""

from typing import Any

from camera_api.base import rule, rules

_USER_INFO = "self.matches('^[a-zA-Z]+://[^/?#]*@')"


def url_rules(field: str, schemes: tuple[str, ...]) -> dict[str, Any]:
    """Rules of a URL field: one of the schemes, a host, and no user info.

    A URL with user info breaks only the second rule, so that its message is the one that helps.

    Args:
        field: path of the field, for the messages.
        schemes: what the URL may start with.
    """
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    return rules(
        rule(
            f"{_USER_INFO} || self.matches('^({'|'.join(schemes)})://[^/?#@ ]+([/?#][^ ]*)?$')",
            f"{field} must be a URL that starts with {wanted} and names a host",
        ),
        rule(
            f"!{_USER_INFO}",
            f"{field} must not hold a user name or password; put them into a Secret and refer to it",
        ),
    )

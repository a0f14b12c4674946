"""What servers ask clients for a password with (RFC 9110, 11), HTTP's and RTSP's alike. Pure."""

import urllib.request


def challenge_fields(text: str) -> dict[str, str]:
    """Named values of a list (RFC 9110, 11.2); what is none is left out."""
    pairs = (item.partition("=") for item in urllib.request.parse_http_list(text))
    return {name.strip().lower(): value.strip().strip('"') for name, found, value in pairs if found}


def escaped(value: str) -> str:
    """A value within quotes. A camera's challenge must not add lines to the request."""
    printable = "".join(character for character in value if character.isprintable())
    return printable.replace("\\", "\\\\").replace('"', '\\"')

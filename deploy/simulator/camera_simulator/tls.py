"""The certificate of cameras that speak RTSP over TLS: signed by themselves, as they come from the factory."""

from __future__ import annotations

import functools
import subprocess
from typing import Any

from camera_simulator.errors import ConfigError
from camera_simulator.gst import Gio

_DAYS = "3650"


@functools.cache
def self_signed_certificate(host: str) -> Any:
    """A new certificate with its key, one for all cameras of the process.

    Raises:
        ConfigError: openssl, or GLib's TLS, is not installed.
    """
    if not Gio.TlsBackend.get_default().supports_tls():
        raise ConfigError("protocol: rtsps needs GLib's TLS; on Debian and Ubuntu: apt-get install glib-networking")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    # Key and certificate one after the other, never in a file.
    options = ["-keyout", "-", "-days", _DAYS, "-subj", f"/CN={host}"]
    try:
        made = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"protocol: rtsps needs openssl to make a certificate: {error}") from None
    return Gio.TlsCertificate.new_from_pem(made.stdout, -1)

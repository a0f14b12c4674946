"""GStreamer's modules in the versions needed, initialised; the rest of the package takes them from here."""

from __future__ import annotations

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")

from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - versions come first

Gst.init(None)

__all__ = ["GLib", "Gio", "Gst", "GstRtsp", "GstRtspServer"]

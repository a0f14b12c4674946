"""RTSP cameras that play real footage and break on request.

Runs with the system's Python and the standard library alone; only `rtsp` imports GStreamer, so everything else
can be imported, and tested, where the bindings are missing.
"""

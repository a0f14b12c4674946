"""RTSP cameras that play real footage and break on request.

Runs with the system's Python and the standard library alone; only `gst` and what stands on it (`port`, `stream`,
`camera`, `simulator`) needs GStreamer, so everything else can be imported, and tested, without it.
"""

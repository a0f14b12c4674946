"""RTSP with RTP interleaved over TCP: pure parts of the protocol, and the connection that uses them."""

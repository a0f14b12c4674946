"""From a camera's URL to packets, key frames and faults. The only package that knows FFmpeg."""

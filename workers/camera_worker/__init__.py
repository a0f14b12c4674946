"""The worker: watches the cameras of its assignment, and tells what it sees.

``assignment`` follows the mounted file, ``supervisor`` keeps one ``ingest.camera`` thread per camera, ``health`` holds
what is to be reported, ``server`` and ``metrics`` tell it. The worker holds no token for the Kubernetes API.
"""

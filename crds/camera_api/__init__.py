"""The contract between users, operator and workers: kinds, faults, assignment and health report.

Nothing here does I/O; both sides import it and it imports neither (an import contract holds that).
"""

GROUP = "camera-operator.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

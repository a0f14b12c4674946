"""What a worker loads before it knows its cameras."""

import os
import subprocess
import sys

SCRIPT = """
import sys
import camera_worker.__main__
print(sorted({"av", "cv2", "numpy"} & set(sys.modules)))
"""


def test_opencv_is_not_loaded_before_a_picture_is_decoded() -> None:
    sources = os.pathsep.join(path for path in sys.path if path.endswith(("crds", "workers")))
    command = [sys.executable, "-c", SCRIPT]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONPATH": sources})

    assert ran.stdout.strip() == "['av']"

"""``python -m local_cluster``: see ``--help``."""

import sys

from local_cluster.cli import main

sys.exit(main())

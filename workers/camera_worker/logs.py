"""Log lines: one line each, with time and level, on standard error."""

import logging


def configure(level: str) -> None:
    """Sets the process's logging up."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"
    )
    # One line per poll and scrape would say nothing.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)

"""``pytest tests/golden --update-golden`` writes the files anew; the diff is what is to be reviewed then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files instead of comparing")


@pytest.fixture
def matches_golden(request: pytest.FixtureRequest) -> Callable[[str, dict[str, Any]], None]:
    """Compares a manifest with the file of the name."""

    def check(name: str, manifest: dict[str, Any]) -> None:
        path = HERE / f"{name}.yaml"
        # The option is unknown where the whole suite is run: pytest reads it from folders named in the command only.
        if request.config.getoption("--update-golden", default=False):
            path.write_text(yaml.safe_dump(manifest, sort_keys=False, width=120))
        assert manifest == yaml.safe_load(path.read_text()), f"differs from {path.name}; see tests/golden/conftest.py"

    return check

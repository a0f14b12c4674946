"""The chart once per session."""

import pytest

from unit.chart.rendering import Chart, Objects, find_helm


@pytest.fixture(scope="session")
def chart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """The chart, rendered by the real helm."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    # Helm may have to be built first, which takes minutes: its progress must be seen.
    with capture.global_and_fixture_disabled():
        helm = find_helm()
    return Chart(helm, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def default(chart: Chart) -> Objects:
    """What an install without any value brings."""
    return chart.objects()

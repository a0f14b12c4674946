"""Every fault has its section in the runbook, and messages lead to it."""

import re
from pathlib import Path

import pytest

from builders import SETTINGS
from camera_api.faults import FAULTS, Fault
from camera_api.health import ActiveFault
from camera_operator import conditions

REPOSITORY = Path(__file__).parents[3]
SECTIONS = dict(
    re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", (REPOSITORY / "docs/runbook.md").read_text(), re.DOTALL | re.MULTILINE)
)


def test_the_runbook_has_a_section_for_each_fault_in_the_order_of_diagnosis() -> None:
    assert list(SECTIONS) == [fault.value for fault in Fault]


@pytest.mark.parametrize("fault", list(FAULTS))
def test_each_section_says_what_to_check_first(fault: Fault) -> None:
    assert "- First: " in SECTIONS[fault.value]


@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_message_of_each_fault_leads_to_its_section(fault: Fault) -> None:
    active = ActiveFault(fault=fault, since="2030-01-31T12:00:00Z", message="measured 1, allowed 2")

    for finding in (conditions.faulty(active, SETTINGS.runbook), conditions.unobserved(fault, SETTINGS.runbook)):
        path, _, anchor = re.findall(r"see (\S+)\.$", finding.message)[0].partition("#")
        assert (REPOSITORY / path).is_file()
        assert anchor in {section.lower() for section in SECTIONS}
        assert anchor == fault.value.lower()

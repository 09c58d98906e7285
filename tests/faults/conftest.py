"""The run that all faults are compared with, and at the end a table of what they came to."""

from collections.abc import Callable
from pathlib import Path

import pytest

FAULT = "fault"  # the name of a row among what a test's report holds, whichever process ran it


@pytest.fixture(scope="session")
def whole(tone_corpus, tmp_path_factory) -> Path:
    """The tiny run without a fault."""
    from fault_runner import make_trainer

    trainer = make_trainer(tmp_path_factory.mktemp("whole") / "run", tone_corpus)
    list(trainer.events())
    assert trainer.progress.finished
    return trainer.run.root


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[[str, int, int, int], None]:
    """Note a kind of fault, how many were injected, the most steps that one of them cost, and wrong results."""
    return lambda *row: record_property(FAULT, row)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    rows = [row for report in reports for name, row in report.user_properties if name == FAULT]
    if not rows:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'':44}{'injected':>10}{'steps lost':>12}{'wrong':>8}")
    for name, injected, lost, wrong in rows:
        terminalreporter.write_line(f"{name:44}{injected:10}{lost:12}{wrong:8}")

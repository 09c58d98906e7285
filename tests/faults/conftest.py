"""What the faults of a session came to, in a table at its end."""

from collections.abc import Callable

import pytest

ROWS: list[tuple[str, int, int, int]] = []


@pytest.fixture
def tally() -> Callable[[str, int, int, int], None]:
    """Note a kind of fault, how many were injected, the most steps that one of them cost, and wrong results."""
    return lambda *row: ROWS.append(row)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'':44}{'injected':>10}{'steps lost':>12}{'wrong':>8}")
    for name, injected, lost, wrong in ROWS:
        terminalreporter.write_line(f"{name:44}{injected:10}{lost:12}{wrong:8}")

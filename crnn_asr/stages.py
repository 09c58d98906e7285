"""Scripts of this project, run one after another, each as a process of its own."""

import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Stage:
    """A script and its arguments; what it prints goes to `output` too, where that is given."""

    title: str
    command: tuple[str, ...]
    output: Path | None = None


def run_stage(stage: Stage, root: Path, folder: Path = Path()) -> int:
    """Run a stage whose paths are relative to `folder`; return its exit code, or -n where signal n ended it.

    Ctrl-C and SIGTERM reach the script, and it has the time that it needs to save what it has.

    Raises:
        KeyboardInterrupt: Ctrl-C, when the script has ended.
    """
    script, *arguments = stage.command
    print(f"\n── {stage.title}: python scripts/{shlex.join(stage.command)}", flush=True)
    process = subprocess.Popen(
        [sys.executable, str(root / "scripts" / script), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE if stage.output else None,
        text=True,
        encoding="utf-8",
    )
    before = signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    try:
        said = _what_it_said(process)
    finally:
        signal.signal(signal.SIGTERM, before)
    if stage.output:
        (folder / stage.output).write_text(said, encoding="utf-8")
        print(said, end="")
    return process.returncode


def stops(what: str, stage: Stage, code: int) -> str:
    """The sentence that `what`, as "the demo", stops at a stage which ended with `code`."""
    how = f"with exit code {code}" if code > 0 else f"by signal {-code}"
    return f"{what} stops: scripts/{stage.command[0]} ended {how}; what it said is above"


def _what_it_said(process: subprocess.Popen[Any]) -> str:
    """Wait for the end, at Ctrl-C too, which a terminal sends to the process as well; pass it on then."""
    interrupted = False
    while True:
        try:
            said = process.communicate()[0] or ""
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return said

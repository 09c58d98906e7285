"""What is converted already: size and modification time of each source and target when the target was finished.

A target is done and whole exactly when both files still are what the record says, whatever their headers may claim
(an MP3 only estimates its length). Targets are renamed into place before their line is written, so a run that is
killed at any moment leaves nothing that the next one takes for done.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Stamp = list[int]  # size in bytes, modification time in ns


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished conversion; `num_samples` counts those of the target."""

    source: Stamp
    target: Stamp
    num_samples: int

    def is_current(self, source: Path, target: Path) -> bool:
        """Whether neither file has changed since."""
        try:
            return self.source == stamp(source) and self.target == stamp(target)
        except OSError:
            return False


def stamp(path: Path) -> Stamp:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def read_record(path: Path) -> dict[str, Entry]:
    """The last entry of each target, by name; a line that a killed run left half written counts for nothing."""
    entries: dict[str, Entry] = {}
    if path.exists():
        with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                try:
                    values: dict[str, Any] = json.loads(line)
                    name = values.pop("target_file")
                    entries[name] = Entry(**values)
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue
    return entries


def record_line(target_file: str, entry: Entry) -> str:
    # It begins with a line break, so that it stands apart from what a killed run left half written.
    return "\n" + json.dumps({"target_file": target_file, **asdict(entry)})

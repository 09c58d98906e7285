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


class Record:
    """A record file, to look entries up in and to add to; in memory is only where each target's last entry stands.

    A line that a killed run left half written counts for nothing.
    """

    def __init__(self, path: Path) -> None:
        self.num_added = 0
        self._file = path.open("a+b")  # whatever is written goes to the end
        self._places: dict[int, int] = {}  # by hash of the name, which takes less memory than the name
        self._file.seek(0)
        place = 0
        for line in self._file:
            if parsed := _parse(line):
                self._places[hash(parsed[0])] = place
            place += len(line)

    def find(self, target_file: str) -> Entry | None:
        """The last entry of a target that was there when the record was opened."""
        place = self._places.get(hash(target_file))
        if place is None:
            return None
        self._file.seek(place)
        name, entry = _parse(self._file.readline()) or ("", None)
        return entry if name == target_file else None

    def add(self, target_file: str, entry: Entry) -> None:
        # It begins with a line break, so that it stands apart from what a killed run left half written.
        line = "\n" + json.dumps({"target_file": target_file, **asdict(entry)})
        self._file.write(line.encode())
        self._file.flush()
        self.num_added += 1

    def close(self) -> None:
        self._file.close()


def _parse(line: bytes) -> tuple[str, Entry] | None:
    try:
        values: dict[str, Any] = json.loads(line)
        return str(values.pop("target_file")), Entry(**values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None

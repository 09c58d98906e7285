"""The record of finished conversions: the last entry of each target, found in the file."""

from contextlib import closing
from pathlib import Path

import pytest

from crnn_asr.corpus import record as record_module
from crnn_asr.corpus.record import Entry, Record

ENTRIES = {name: Entry([number, 10**18 + number], [number, 1], 100 + number) for number, name in enumerate("abü")}


def write(path: Path, entries: dict[str, Entry]) -> None:
    with closing(Record(path)) as record:
        for name, entry in entries.items():
            record.add(name, entry)
        assert record.num_added == len(entries)


def find(path: Path, names: str) -> list[Entry | None]:
    with closing(Record(path)) as record:
        return [record.find(name) for name in names]


def test_entries_are_found_in_any_order_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "part.done"
    assert find(path, "a") == [None]
    write(path, ENTRIES)
    later = Entry([5, 5], [6, 6], 7)
    write(path, {"b": later})
    assert find(path, "übxa") == [ENTRIES["ü"], later, None, ENTRIES["a"]]


def test_looking_up_and_adding_may_alternate(tmp_path: Path) -> None:
    path = tmp_path / "part.done"
    write(path, {"a": ENTRIES["a"]})
    with closing(Record(path)) as record:
        for name in "bü":
            record.add(name, ENTRIES[name])
            assert record.find("a") == ENTRIES["a"]
    assert find(path, "abü") == list(ENTRIES.values())


def test_targets_whose_names_have_one_hash_are_not_confused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "part.done", ENTRIES)
    monkeypatch.setattr(record_module, "hash", lambda name: 1, raising=False)
    assert find(tmp_path / "part.done", "abü") == [None, None, ENTRIES["ü"]]

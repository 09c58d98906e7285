"""What the system says of memory, in every way it may say it."""

from pathlib import Path

import numpy as np
import pytest

from crnn_asr.errors import DataError
from crnn_asr.training.memory import available_memory, peak_memory


@pytest.fixture
def system(tmp_path):
    """Files of a system with 4 MB available, the control group /a/b of its kind, and limits by file name."""

    def write(groups: str, files: dict[str, str]) -> Path:
        content = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n", "proc/self/cgroup": groups}
        for name, text in (content | {f"sys/fs/cgroup/{name}": text for name, text in files.items()}).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def test_without_control_groups_what_the_kernel_says(system):
    assert available_memory(system("", {})) == 4_000 * 1024


@pytest.mark.parametrize(("place", "limit"), [("a/b", "900000"), ("a", "900000"), ("", "900000"), ("a/b", "max")])
def test_the_second_version(system, place, limit):
    """A limit of the group or of one around it; cached files are counted as used there, and are free."""
    files = {f"{place}/memory.max": limit, f"{place}/memory.current": "500000"}
    files[f"{place}/memory.stat"] = "anon 1\ninactive_file 100000\nactive_file 7\n"
    expected = 4_000 * 1024 if limit == "max" else 500_000
    assert available_memory(system("0::/a/b\n", files)) == expected


def test_the_first_version(system):
    files = {"memory/a/memory.limit_in_bytes": "800000", "memory/a/memory.usage_in_bytes": "300000"}
    files["memory/a/memory.stat"] = "inactive_file 5\ntotal_inactive_file 40000\n"
    files |= {"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "0"}
    files["memory/memory.stat"] = "total_inactive_file 0\n"
    assert available_memory(system("5:cpu:/x\n4:memory:/a/b\n0::/\n", files)) == 540_000


def test_more_used_than_allowed_is_nothing(system):
    files = {"memory.max": "10", "memory.current": "500", "memory.stat": "inactive_file 0\n"}
    assert available_memory(system("0::/\n", files)) == 0


def test_a_system_that_does_not_tell(tmp_path):
    with pytest.raises(DataError, match="not known without"):
        available_memory(tmp_path)


def test_peak_memory_holds_what_was_held(rng):
    before = peak_memory()
    size = max(0, before - _resident()) + (64 << 20)
    assert np.ones(size // 8).sum() == size // 8
    assert peak_memory() - before == pytest.approx(64 << 20, abs=16 << 20)
    assert peak_memory() > _resident() + (32 << 20), "though it is given back"


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

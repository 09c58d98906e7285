"""Memory of the machine and of this process, as Linux tells it."""

from pathlib import Path

from crnn_asr.errors import DataError

_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that may still be used: what the kernel calls available, or what is left in a control group, if less.

    Args:
        root: where /proc and /sys/fs/cgroup are.

    Raises:
        DataError: the system does not tell.
    """
    left = [_field(root / "proc/meminfo", "MemAvailable:") * 1024]
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            left += _left_in_groups(root / "sys/fs/cgroup", group, *_V2)
        elif "memory" in controllers.split(","):
            left += _left_in_groups(root / "sys/fs/cgroup/memory", group, *_V1)
    return max(0, min(left))


def peak_memory() -> int:
    """The most bytes that this process ever held in memory.

    `ru_maxrss` would not do: it begins with that of the process that started this one.
    """
    return _field(Path("/proc/self/status"), "VmHWM:") * 1024


def resident_memory() -> int:
    """The bytes of memory that this process holds now; 0 where the system does not tell."""
    try:
        return _field(Path("/proc/self/status"), "VmRSS:") * 1024
    except DataError:
        return 0


def gpu_memory() -> int:
    """The most bytes that TensorFlow ever held on the first GPU; 0 where there is none."""
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"]) if gpus else 0


def _left_in_groups(mount: Path, group: str, limit: str, usage: str, cached: str) -> list[int]:
    """Bytes left in a control group and in those around it; what is cached of files counts as free."""
    folder = mount / group.lstrip("/")
    left = []
    for place in (folder, *folder.parents):
        if place.is_relative_to(mount) and (place / limit).is_file():
            allowed = (place / limit).read_text().strip()
            if allowed != "max":
                used = int((place / usage).read_text()) - _field(place / "memory.stat", cached)
                left.append(int(allowed) - used)
    return left


def _field(path: Path, name: str) -> int:
    for line in _lines(path):
        words = line.split()
        if words[0] == name:
            return int(words[1])
    raise DataError(f"{path}: expected a line {name!r}, found none; the memory of this system is not known")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError as error:
        raise DataError(f"the memory of this system is not known without {path}, which Linux has") from error

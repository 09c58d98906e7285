"""Worker processes that die, raise, or lose their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crnn_asr.corpus.parallel import CHUNKS_AHEAD, MAX_CRASHES_IN_A_ROW, map_in_processes

ROOT = Path(__file__).resolve().parents[2]


def square_or_die(number: int) -> int:
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def leave_a_file(item: tuple[Path, int]) -> int:
    folder, number = item
    (folder / str(number)).touch()
    return number


def refuse(number: int) -> int:
    raise FileNotFoundError(2, "No such file or directory", f"{number}.flac")


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    numbers = list(range(50))
    assert list(map_in_processes(square_or_die, numbers, jobs, crashed=-1)) == [number**2 for number in numbers]


def test_nothing_to_do_starts_nothing() -> None:
    assert list(map_in_processes(square_or_die, [], 4, crashed=-1)) == []


def test_only_the_item_that_kills_its_process_is_lost() -> None:
    numbers = [1, 2, -3, 4, 5, 6, -7]
    assert list(map_in_processes(square_or_die, numbers, 2, crashed=-1)) == [1, 4, -1, 16, 25, 36, -1]


def test_processes_that_always_die_end_the_run() -> None:
    results = map_in_processes(square_or_die, [-1] * 10, 1, crashed=-1)
    seen = []
    with pytest.raises(OSError, match="worker processes in a row died"):
        for result in results:
            seen.append(result)
    assert seen == [-1] * MAX_CRASHES_IN_A_ROW


def test_results_that_nobody_takes_do_not_pile_up(tmp_path: Path) -> None:
    numbers = list(range(400))
    results = map_in_processes(leave_a_file, [(tmp_path, number) for number in numbers], 2, crashed=-1)
    assert next(results) == 0
    time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) <= (CHUNKS_AHEAD * 2 + 1) * 16
    assert list(results) == numbers[1:]


def test_what_the_function_raises_arrives_whole() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        list(map_in_processes(refuse, [7], 1, crashed=-1))
    assert (caught.value.filename, caught.value.strerror) == ("7.flac", "No such file or directory")


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process group whose two workers are just starting; each has left a file with its id as the name."""
    (tmp_path / "busy.py").write_text(
        "import os, pathlib, signal, time\n"
        "from crnn_asr.console import run\n"
        "from crnn_asr.corpus.parallel import map_in_processes\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "    run(lambda _: len(list(map_in_processes(time.sleep, [0.2] * 600, 2, None))))\n"
        f"(pathlib.Path({str(tmp_path)!r}) / f'{{os.getpid()}}.pid').touch()\n"
        "time.sleep(0.5)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "busy.py")]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
        yield process
        process.kill()
        wait_until(lambda: not any(is_running(int(path.stem)) for path in tmp_path.glob("*.pid")))


def test_workers_leave_when_the_parent_is_killed(busy: subprocess.Popen[str]) -> None:
    busy.kill()
    assert busy.wait() == -signal.SIGKILL


def test_an_interrupt_is_one_sentence_and_ends_the_workers(busy: subprocess.Popen[str]) -> None:
    os.killpg(busy.pid, signal.SIGINT)
    _, errors = busy.communicate(timeout=120)
    assert (busy.returncode, errors) == (130, "error: interrupted\n")


def test_a_second_interrupt_does_not_wait_for_what_the_workers_are_at(busy: subprocess.Popen[str]) -> None:
    """They are at 16 items of 0.2 s each; without an end to them the process waited for ever."""
    os.kill(busy.pid, signal.SIGINT)
    time.sleep(1)
    os.kill(busy.pid, signal.SIGINT)
    _, errors = busy.communicate(timeout=30)
    assert (busy.returncode, errors) == (130, "error: interrupted\n")


def wait_until(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"

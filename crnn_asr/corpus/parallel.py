"""A function over many items in worker processes that may die without taking the run along."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_CRASHES_IN_A_ROW = 3
CHUNKS_AHEAD = 3  # for each worker; results wait there until they are taken


def map_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, crashed: Result
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, computed by up to `jobs` processes.

    When a process dies (out of memory, a crash in a decoder), the items without a result are done again one after
    another, because only then is it known which of them is the cause; that one yields `crashed`.

    Args:
        function: a function of a module's top level, so that a fresh process can import it; safe to run twice.
        jobs: number of processes, at least 1.
        crashed: the result of an item whose process died.

    Raises:
        OSError: processes die whatever they are given.
        Exception: whatever `function` raises; the rest is not done then.
    """
    waiting, workers, crashes = list(items), min(jobs, len(items)), 0
    while waiting:
        num_done = 0
        try:
            for result in _map_in_pool(function, waiting, workers):
                num_done, crashes = num_done + 1, 0
                yield result
            return
        except BrokenProcessPool as error:
            waiting, crashes = waiting[num_done:], crashes + 1
            if crashes > MAX_CRASHES_IN_A_ROW:
                raise OSError(
                    f"{crashes} worker processes in a row died; is there enough memory? What is done is kept, "
                    "run the same command again to go on"
                ) from error
            if workers == 1:
                yield crashed
                waiting = waiting[1:]
            workers = 1


def _map_in_pool(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    size = 1 if workers == 1 else max(1, min(16, len(items) // (4 * workers)))
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, context, _start_worker)
    is_done = False
    chunks: deque[Future[list[Result]]] = deque()  # handed out, few at a time: memory does not grow with the items
    try:
        for start in range(0, len(items), size):
            with interrupts_blocked():
                chunks.append(pool.submit(_map_chunk, function, items[start : start + size]))
            if len(chunks) > CHUNKS_AHEAD * workers:
                yield from chunks.popleft().result()
        while chunks:
            yield from chunks.popleft().result()
        is_done = True
    finally:
        # In a thread of its own: an interrupted join would take the pool's thread for ended, while it is still at work.
        closed = threading.Event()
        threading.Thread(target=_close, args=(pool, closed)).start()
        try:
            closed.wait()  # for what the workers are at
        except KeyboardInterrupt:  # without workers to end it, Python would wait for them for ever
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()
            closed.wait()
            if is_done:  # else what ended the loop is on its way
                raise


def _close(pool: ProcessPoolExecutor, closed: threading.Event) -> None:
    try:
        pool.shutdown(cancel_futures=True)
    finally:
        closed.set()


def _map_chunk(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Processes started in this block never see Ctrl-C, which a terminal sends to all; the parent alone decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the parent is killed; a pool's worker would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

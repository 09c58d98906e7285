"""What all command lines share: an error becomes a sentence and a true exit code."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

logger = logging.getLogger(__name__)


def complain(message: object) -> None:
    logger.error("%s", message)
    print(f"error: {message}", file=sys.stderr)


def note(message: object) -> None:
    logger.info("%s", message)
    print(f"note: {message}", file=sys.stderr)


def run(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run a script's `main` and exit with its code.

    Errors a user can cause (`OSError`, and `ValueError` with our three kinds) are printed as one line. Anything else
    is our fault and keeps its traceback.
    """
    try:
        code = main(None)
    except BrokenPipeError:  # the reader of a pipe went away, as `head` does
        sys.stderr.close()
        code = OK
    except (OSError, ValueError) as error:
        complain(describe(error))
        code = FAILED
    except KeyboardInterrupt:
        complain("interrupted")
        code = INTERRUPTED
    raise SystemExit(code)


def describe(error: BaseException) -> str:
    """An error as a sentence; the operating system's own say what and where."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        advice = "; name the files in it" if isinstance(error, IsADirectoryError) else ""
        return f"{error.filename}: {error.strerror}{advice}"
    return str(error) or type(error).__name__


def positive_int(text: str) -> int:
    """An argparse type: a whole number of at least 1."""
    return _int_from(text, 1)


def non_negative_int(text: str) -> int:
    """An argparse type: a whole number of at least 0."""
    return _int_from(text, 0)


def _int_from(text: str, low: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if value < low:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {low}, got {text!r}")
    return value


def positive_float(text: str) -> float:
    """An argparse type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def share(text: str) -> float:
    """An argparse type: a number above 0 and at most 1."""
    value = positive_float(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and at most 1, got {text!r}")
    return value


def share_or_none(text: str) -> float:
    """An argparse type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {text!r}")
    return value


@contextmanager
def progress_bar(description: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, if that is a terminal, and give the callback (done, total) that moves it.

    With the unit "B" it counts in kB, MB, GB.
    """
    from tqdm import tqdm

    with tqdm(desc=description, unit=unit, unit_scale=unit == "B", dynamic_ncols=True, disable=None) as bar:

        def move(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield move

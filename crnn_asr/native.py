"""What C++ libraries write to file descriptor 2 past `sys.stderr`, and know no setting against."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()


@contextmanager
def without_native_lines(*beginnings: bytes) -> Iterator[None]:
    """Drop the lines that begin so; all others are passed on when the block ends.

    For a moment only, such as loading a library or a model: until then file descriptor 2 points to a file.
    """
    if sys.stderr is None:  # closed by whoever started us
        yield
        return
    with _lock, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            for line in caught:
                if not line.startswith(beginnings):
                    os.write(2, line)


def single_threaded_blas() -> None:
    """Keep NumPy's small products to one thread, where several workers share the cores; before NumPy is imported.

    OpenBLAS would start threads of its own for every product, which fight with the workers and with TensorFlow.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def load_tensorflow() -> None:
    """Import TensorFlow without its remarks on missing GPUs and rounding; its errors are shown."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with without_native_lines(b"WARNING: All log messages before absl", b"I0000 "):
        import tensorflow  # noqa: F401

"""Structured logs: what the library reports through `logging`, as one JSON object a line.

Every module logs under its own name. Fields of a record are given as `extra={"fields": {...}}`. Needs no TensorFlow.
"""

import argparse
import json
import logging
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
PACKAGE = "crnn_asr"

logger = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """A record as a line: time (UTC), level, module, message, its fields, and where there is one its exception."""

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "module": record.name,
            "message": record.getMessage(),
        }
        row |= {name: _finite(value) for name, value in getattr(record, "fields", {}).items()}
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False, default=str)


class JsonHandler(logging.FileHandler):
    """Appends to a file, line by line. A log that cannot be written is said once, and ends nothing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(JsonFormatter())

    def handleError(self, record: logging.LogRecord) -> None:
        self.setLevel(logging.CRITICAL + 1)
        print(f"error: {self.baseFilename}: {sys.exc_info()[1]}; nothing more is logged there", file=sys.stderr)


def module_level(text: str) -> tuple[str, int]:
    """An argparse type: MODULE=LEVEL as a name and a number of `logging`."""
    module, _, level = text.partition("=")
    if not module or level.lower() not in LEVELS:
        raise argparse.ArgumentTypeError(
            f"expected MODULE=LEVEL with one of {', '.join(LEVELS)}, such as {PACKAGE}.training=debug, got {text!r}"
        )
    return module, LEVELS[level.lower()]


@contextmanager
def json_log(path: Path, levels: Mapping[str, int]) -> Iterator[None]:
    """Append what is logged until the block ends to `path`, and the error that ends it if one does.

    Args:
        levels: by module, which holds for those within it too; the package's own is INFO. A module of another package
            is logged if it is named here.

    Raises:
        OSError: the file cannot be opened.
    """
    handler = JsonHandler(path)
    levels = {PACKAGE: logging.INFO, **levels}
    loggers = {name: logging.getLogger(name) for name in levels}
    before = {name: one.level for name, one in loggers.items()}
    top = [one for name, one in loggers.items() if name == PACKAGE or not name.startswith(f"{PACKAGE}.")]
    for name, one in loggers.items():
        one.setLevel(levels[name])
    for one in top:
        one.addHandler(handler)
    try:
        yield
    except BaseException as error:  # who catches it finds the log closed
        logger.error("ended by %s: %s", type(error).__name__, error, exc_info=True)
        raise
    finally:
        for one in top:
            one.removeHandler(handler)
        for name, one in loggers.items():
            one.setLevel(before[name])
        handler.close()


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: None instead."""
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Structured logs: every line is JSON, levels hold by module, and nothing else of `logging` is changed."""

import argparse
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crnn_asr.console import complain, note
from crnn_asr.training.logs import JsonHandler, json_log, module_level


def lines(path: Path) -> list[dict]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_record_is_a_line_with_its_fields(tmp_path):
    log = logging.getLogger("crnn_asr.training.somewhere")
    path, before = tmp_path / "new" / "log.jsonl", datetime.now(UTC)
    with json_log(path, {}):
        log.info("said %s\nand more", "çox", extra={"fields": {"loss": float("nan"), "epoch": 3, "where": Path("a")}})
        log.debug("not asked for")
        try:
            raise KeyError("x")
        except KeyError:
            log.exception("failed")
    log.error("afterwards")
    first, second = lines(path)
    assert first.pop("time") >= before.isoformat(timespec="milliseconds")
    assert first == {
        "level": "info",
        "module": "crnn_asr.training.somewhere",
        "message": "said çox\nand more",
        "loss": None,
        "epoch": 3,
        "where": "a",
    }
    assert second["level"] == "error" and second["exception"].endswith("KeyError: 'x'")


def test_levels_hold_for_a_module_and_those_within_it(tmp_path):
    names = ("crnn_asr.training.loop", "crnn_asr.audio.read", "crnn_asr.text", "elsewhere.inside", "others")
    levels = {"crnn_asr.training": logging.DEBUG, "crnn_asr.audio": logging.ERROR, "elsewhere": logging.WARNING}
    with json_log(tmp_path / "log.jsonl", levels):
        for name in names:
            for level in ("debug", "info", "warning"):
                getattr(logging.getLogger(name), level)(level)
    assert [(line["module"], line["level"]) for line in lines(tmp_path / "log.jsonl")] == [
        ("crnn_asr.training.loop", "debug"),
        ("crnn_asr.training.loop", "info"),
        ("crnn_asr.training.loop", "warning"),
        ("crnn_asr.text", "info"),
        ("crnn_asr.text", "warning"),
        ("elsewhere.inside", "warning"),
    ]
    assert {logging.getLogger(name).level for name in levels} == {logging.NOTSET}


def test_the_error_that_ends_a_run_is_its_last_line(tmp_path):
    with pytest.raises(OSError, match="no space"), json_log(tmp_path / "log.jsonl", {}):
        raise OSError("no space")
    *_, last = lines(tmp_path / "log.jsonl")
    assert (last["level"], last["message"]) == ("error", "ended by OSError: no space")
    assert "test_logs.py" in last["exception"]


def test_a_second_session_appends(tmp_path):
    for session in range(2):
        with json_log(tmp_path / "log.jsonl", {}):
            logging.getLogger("crnn_asr").info("session %d", session)
    assert [line["message"] for line in lines(tmp_path / "log.jsonl")] == ["session 0", "session 1"]


def test_what_a_person_is_told_is_in_the_log_and_told_once(tmp_path, capsys):
    complain("before")
    with json_log(tmp_path / "log.jsonl", {}):
        complain("it failed")
        note("by the way")
    assert [(line["level"], line["message"]) for line in lines(tmp_path / "log.jsonl")] == [
        ("error", "it failed"),
        ("info", "by the way"),
    ]
    assert capsys.readouterr().err == "error: before\nerror: it failed\nnote: by the way\n"


def test_a_log_on_a_full_disk_is_said_once_and_ends_nothing(capsys):
    handler = JsonHandler(Path("/dev/full"))
    logger = logging.Logger("alone")
    logger.addHandler(handler)
    for _ in range(3):
        logger.error("lost")
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and errors[0].startswith("error: /dev/full: ") and "No space left" in errors[0]
    with pytest.raises(OSError):
        handler.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("crnn_asr.training=debug", ("crnn_asr.training", 10)), ("tensorflow=WARNING", ("tensorflow", 30))],
)
def test_levels_are_read(text, expected):
    assert module_level(text) == expected


@pytest.mark.parametrize("text", ["debug", "=debug", "crnn_asr=loud", "crnn_asr=", ""])
def test_other_levels_are_refused_in_a_sentence(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected MODULE=LEVEL"):
        module_level(text)

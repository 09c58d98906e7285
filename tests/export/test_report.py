"""The gate, the recommendation and the tables, on models whose numbers are made up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crnn_asr.corpus.manifest import Problem
from crnn_asr.export.calibrate import Calibration
from crnn_asr.export.gate import Gate, best
from crnn_asr.export.measure import Measurement
from crnn_asr.export.picture import draw_report
from crnn_asr.export.report import Report, Result
from crnn_asr.export.speed import Timing
from crnn_asr.export.tables import accuracy_rows, aligned, markdown_text, speed_rows, terminal_text
from crnn_asr.inference.evaluation import Evaluation
from crnn_asr.text.bootstrap import Change
from crnn_asr.text.metrics import ErrorCounts, Scores


def model(scheme: str, errors: int = 50, ms: float = 40.0, megabytes: float = 8.0) -> Measurement:
    """Of 1000 words, where float32 has 50 wrong; `ms` for 16 s on one thread, where float32 takes 40."""
    scores = Scores(ErrorCounts(errors, 0, 0, 1_000), ErrorCounts(errors, 0, 0, 5_000), errors, 100)
    change = Change((errors - 50) / 10, (errors - 60) / 10, (errors - 40) / 10)
    timings = tuple(
        Timing(length, threads, ms * length / 16 / threads, ms / 40) for threads in (1, 2) for length in (4, 16, 32)
    )
    evaluation = Evaluation(scores, (), 300.0, 1.0, ())
    return Measurement(scheme, round(megabytes * 1e6), evaluation, change, change, 0.25, 0.01, timings, 123.4)


FLOAT, INT8 = model("float32"), model("int8", 51, 16, 2)
BAD = model("dynamic", 56, 60, 2)


@pytest.fixture
def report() -> Report:
    gate = Gate()
    results = [Result(one, tuple(gate.objections(one)), Path(f"model.{one.scheme}.tflite")) for one in (INT8, BAD)]
    calibration = Calibration({"features": (-3.0, 4.0)}, "mse", {"mse": 0.01, "mean": 0.02}, {"features": 0.0125})
    left_out = (Problem("a", "in dev"),)
    return Report((Result(FLOAT, (), None), *results), calibration, ("b", "c"), left_out, gate, 1e-6)


def test_what_loses_no_more_than_the_limits_is_within():
    gate = Gate(max_wer_increase=0.5, max_slowdown=1.1)
    for errors, ms, objections in ((55, 44, 0), (56, 44, 1), (55, 44.1, 1), (56, 44.1, 2), (40, 10, 0)):
        assert len(gate.objections(model("int8", errors, ms))) == objections
    assert not Gate(float("inf"), float("inf")).objections(model("int8", 900, 4_000))
    assert len(Gate(0, 0.5).objections(model("int8", 51, 21))) == 2


def test_objections_are_sentences():
    words, time = Gate().objections(BAD)
    assert words == ("dynamic loses 0.60 % of the words on dev against float32, more than 0.5 (--max-wer-increase)")
    assert time == (
        "dynamic takes 1.50 times as long as float32 for 16 s of audio on one thread, more than 1.1 (--max-slowdown)"
    )


def test_time_is_not_judged_where_none_is_measured_nor_of_files_for_other_machines():
    assert not Gate().objections(replace(model("int8", ms=400), timings=()))
    assert not Gate().objections(model("integer", ms=400))
    assert len(Gate().objections(model("integer", errors=99, ms=400))) == 1


def test_the_fastest_is_best_and_of_equals_the_smallest():
    small, smaller = model("b", ms=20, megabytes=3), model("c", ms=20.9, megabytes=2)
    tiny = model("d", ms=25, megabytes=1)
    assert best([FLOAT, small, smaller, tiny]) is smaller
    assert best([FLOAT, small, tiny]) is small
    assert best([replace(one, timings=()) for one in (FLOAT, small, tiny)]).scheme == "d"


def test_it_recommends_one_within_the_gate(report):
    assert report.recommendation() == (
        "On this machine take int8 (model.int8.tflite), the fastest within the limits: 16 s of audio in 16.0 ms on one "
        "thread, 0.40 of float32's time; 2.00 MB, 0.25 of float32's size; dev WER 5.10 %."
    )
    only = replace(report, results=(report.results[0], report.results[2]))
    assert "take float32 (--scheme float32 writes it), the fastest" in only.recommendation()


def test_tables_fit_a_terminal_and_hold_the_numbers(report):
    text = terminal_text(report)
    assert max(map(len, text.splitlines())) <= 120
    accuracy, speed = accuracy_rows(report.results), speed_rows(report.results)
    assert accuracy[2][:6] == ["int8", "2.00 MB", "0.250", "5.10 %", "+0.10 [-0.90, +1.10]", "1.02 %"]
    assert accuracy[1][4:] == ["", "1.00 %", "", "", ""]
    assert speed[0][1:4] == ["4 s, 1 thr.", "16 s, 1 thr.", "32 s, 1 thr."]
    assert speed[2][:3] == ["int8", "4.0 0.00100", "16.0 0.00100"]
    assert speed[2][6:] == ["16.0 0.00050", "0.40", "123 MB"]
    slow = replace(report, results=tuple(Result(model(f"onnx-int8{k}", ms=999), (), None) for k in range(3)))
    assert max(map(len, aligned(speed_rows(slow.results)).splitlines())) <= 120


def test_columns_are_aligned():
    assert aligned([["a", "value"], ["long", "1"]]) == "a     value\nlong      1\n"


def test_markdown_tells_everything(report):
    text = markdown_text(report)
    for words in (
        "| int8 | 2.00 MB | 0.250 | 5.10 % |",
        "| int8 | 4.0 0.00100 |",
        "Rejected: dynamic loses 0.60 %",
        "2 utterances; 1 left out, being in dev.",
        "| mean | 0.0200 |",
        "Taken: mse.",
        "| features | -3.000 | 4.000 | 1.2500 % |",
        "100 utterances, 1000 words, 300 s",
    ):
        assert words in text


def test_nothing_is_said_of_times_that_were_not_measured(report):
    untimed = replace(
        report,
        results=tuple(
            replace(result, measured=replace(result.measured, timings=(), peak_mb=None)) for result in report.results
        ),
    )
    assert speed_rows(untimed.results) == []
    assert "Speed" not in markdown_text(untimed) and "thr." not in terminal_text(untimed)
    assert "take int8 (model.int8.tflite), the smallest within the limits; 2.00 MB" in untimed.recommendation()


def test_json_holds_all_of_it(report):
    values = json.loads(json.dumps(replace(report, gate=Gate(max_slowdown=float("inf"))).to_dict(), allow_nan=False))
    assert values["gate"] == {"max_wer_increase": 0.5, "max_slowdown": None}
    assert values["calibration"]["products"]["features"] == {"low": -3.0, "high": 4.0, "saturated_share": 0.0125}
    assert values["calibration"]["left_out"] == [{"where": "a", "reason": "in dev"}]
    assert values["recommended"] == "int8"
    assert [row["accepted"] for row in values["results"]] == [True, True, False]
    row = values["results"][1]
    assert row["timings"][1] == {
        "length_s": 16,
        "num_threads": 1,
        "milliseconds": 16.0,
        "ratio": 0.4,
        "real_time_factor": 0.001,
    }
    assert (row["file"], row["dev_wer_change"]["high"], row["peak_memory_mb"]) == ("model.int8.tflite", 1.1, 123.4)


def test_the_picture_shows_every_model(report, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    said = []
    annotate = Axes.annotate
    monkeypatch.setattr(
        Axes, "annotate", lambda self, text, *rest, **how: said.append(text) or annotate(self, text, *rest, **how)
    )
    draw_report(report, tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(said) == ["dynamic: WER 5.60 %, rejected", "float32: WER 5.00 %", "int8: WER 5.10 %"]

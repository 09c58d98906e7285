"""Measuring: differences by hand, times that tell slow from fast, memory of a process without TensorFlow."""

import time
from contextlib import nullcontext

import numpy as np
import pytest

from crnn_asr.corpus.manifest import read_manifest
from crnn_asr.errors import ModelError
from crnn_asr.export import measure as measure_module
from crnn_asr.export import speed
from crnn_asr.export.measure import differences, measure
from crnn_asr.export.memory import peak_memory_mb
from crnn_asr.inference.recognizer import Recognizer


def test_differences_are_of_log_probabilities_over_all_frames():
    expected = [np.zeros((1, 2), np.float32), np.zeros((3, 2), np.float32)]
    given = [np.array([[7, 7]], np.float32), np.array([[0, 0], [0, 0], [0, np.log(3)]], np.float32)]
    fell, rose = np.log(2 / 4), np.log(6 / 4)  # probabilities of 1/2 that became 1/4 and 3/4
    assert differences(expected, given) == pytest.approx((-fell, np.sqrt((fell**2 + rose**2) / 8)))


@pytest.fixture(scope="module")
def paths(quantized):
    return {scheme: quantized / f"model.{scheme}.tflite" for scheme in ("float32", "int8")}


def test_all_is_measured_beside_the_first(paths, melodies, monkeypatch):
    monkeypatch.setattr(measure_module, "measure_speed", lambda paths, *_: {"int8": ("a timing",)})
    monkeypatch.setattr(measure_module, "peak_memory_mb", lambda path: path.stat().st_size)
    monkeypatch.setattr(Recognizer, "logits", spoiled(Recognizer.logits))
    dev, _ = read_manifest(melodies / "dev.jsonl")
    reference, other = measure(paths, dev, True, lambda *_: nullcontext(lambda *_: None))
    assert (reference.scheme, other.scheme, other.timings) == ("float32", "int8", ("a timing",))
    assert other.num_bytes == other.peak_mb == paths["int8"].stat().st_size
    assert reference.wer_change.percent == reference.max_difference == reference.rms_difference == 0
    assert other.wer == other.cer == other.wer_change.percent == other.cer_change.percent == 100
    assert other.wer_change.low == other.wer_change.high == 100
    assert other.max_difference > other.rms_difference > 1
    untimed = measure(paths, dev[:2], False, lambda *_: nullcontext(lambda *_: None))
    assert [(one.timings, one.peak_mb) for one in untimed] == [((), None)] * 2


def spoiled(logits):
    """Recognizers of INT8 files hear nothing."""

    def deaf(self, features):
        heard = logits(self, features)
        return heard if self.metadata.scheme == "float32" else np.zeros_like(heard)

    return deaf


def test_times_are_by_model_length_and_threads(paths, monkeypatch):
    """Against a network whose time is known: it computes for 0.2 ms a second of audio, twice that for INT8."""

    def busy(self, features):
        end = time.thread_time() + len(features) / 100 * (2e-4 if self.metadata.scheme == "float32" else 4e-4)
        while time.thread_time() < end:
            pass
        return np.zeros((1, 5), np.float32)

    monkeypatch.setattr(Recognizer, "logits", busy)
    monkeypatch.setattr(speed, "thread_counts", lambda: [1, 2])
    monkeypatch.setattr(speed, "MAX_TURNS", 3)
    moves = []
    timings = speed.measure_speed(paths, lambda *move: moves.append(move))
    assert [(time.length_s, time.num_threads) for time in timings["int8"]] == [
        (length, threads) for threads in (1, 2) for length in (4, 16, 32)
    ]
    assert moves[-1] == (6, 6)
    for reference, slow in list(zip(timings["float32"], timings["int8"]))[:3]:
        assert reference.ratio == 1 and slow.ratio == pytest.approx(2, rel=0.2)
        assert slow.milliseconds == pytest.approx(0.4 * slow.length_s, rel=0.2)
        assert slow.real_time_factor == pytest.approx(4e-4, rel=0.2)


def test_a_minute_is_transcribed_without_tensorflow(paths, tmp_path):
    peak = peak_memory_mb(paths["int8"])
    assert peak is None or 40 < peak < 200  # `import tensorflow` alone takes 400
    (tmp_path / "model.tflite").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"model\.tflite failed with exit code 1(.|\n)*expected a model file"):
        peak_memory_mb(tmp_path / "model.tflite")

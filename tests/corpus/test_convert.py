"""Conversion: the right samples, once, whole, and every failure named."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.corpus import convert as convert_module
from crnn_asr.corpus.convert import Part, convert_part
from crnn_asr.corpus.manifest import Problem, Utterance, read_manifest
from crnn_asr.corpus.record import Entry, stamp
from crnn_asr.corpus.recording import Recording

ROOT = Path(__file__).resolve().parents[2]


def recordings_of(sources: list[Path], audio_format: str = "wav") -> Iterator[Recording]:
    for path in sources:
        yield Recording(str(path), f"wav/{path.stem}.{audio_format}", f"words {path.stem}", "s", path.stem)


def convert(sources: list[Path], out: Path, jobs: int = 1, audio_format: str = "wav") -> Part:
    return convert_part("train", recordings_of(sources, audio_format), out, jobs)


def utterances_of(part: Part) -> list[Utterance]:
    """Those of the manifest, every line of which is good and counted."""
    utterances, problems = read_manifest(part.manifest)
    assert (len(utterances), problems) == (part.num_utterances, [])
    assert part.hours * 3600 == pytest.approx(sum(item.duration_s for item in utterances), abs=1e-4 * len(utterances))
    return utterances


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*.*") if path.is_file()}


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_16_khz_recordings_keep_every_bit(
    audio_format: str, tmp_path: Path, rng: np.random.Generator, write_tone
) -> None:
    sources = [tmp_path / "in" / f"{number}.flac" for number in range(3)]
    noise = [rng.integers(-32_768, 32_768, size=2_000 + number, dtype=np.int16) for number in range(3)]
    (tmp_path / "in").mkdir()
    for path, samples in zip(sources, noise):
        soundfile.write(path, samples, 16_000)
    part = convert(sources, tmp_path / "out", audio_format=audio_format)
    assert (part.num_converted, part.problems) == (3, ())
    for utterance, samples in zip(utterances_of(part), noise, strict=True):
        values, rate_hz = soundfile.read(utterance.audio_path, dtype="int16")
        assert (rate_hz, soundfile.info(utterance.audio_path).subtype) == (16_000, "PCM_16")
        np.testing.assert_array_equal(values, samples)
        assert utterance.duration_s == pytest.approx(len(samples) / 16_000, abs=1e-4)


def test_other_rates_and_channels_become_16_khz_mono(tmp_path: Path, write_tone) -> None:
    sources = [
        write_tone(tmp_path / f"{rate_hz}.wav", 1_000.0, duration_s=0.5, rate_hz=rate_hz)
        for rate_hz in (8_000, 22_050, 44_100, 96_000)
    ]
    samples, rate_hz = soundfile.read(sources[2])
    soundfile.write(tmp_path / "stereo.ogg", np.stack([samples, samples], axis=1), rate_hz)
    for utterance in utterances_of(convert([*sources, tmp_path / "stereo.ogg"], tmp_path / "out")):
        values, rate_hz = soundfile.read(utterance.audio_path)
        assert (values.ndim, rate_hz) == (1, 16_000)
        assert utterance.duration_s == pytest.approx(len(values) / 16_000, abs=1e-4) == pytest.approx(0.5, abs=0.001)
        spectrum = np.abs(np.fft.rfft(values * np.hanning(len(values))))
        assert np.argmax(spectrum) * 16_000 / len(values) == pytest.approx(1_000, abs=2.0)


def test_manifest_and_report_hold_what_was_done(tmp_path: Path, write_tone) -> None:
    sources = [write_tone(tmp_path / f"{name}.wav") for name in "cab"]
    sources[1].write_bytes(b"no audio")
    part = convert(sources, tmp_path / "out")
    utterances, problems = read_manifest(tmp_path / "out" / "train.jsonl")
    assert problems == []
    assert [(item.id, item.text, item.speaker, item.duration_s) for item in utterances] == [
        ("c", "words c", "s", 0.2),
        ("b", "words b", "s", 0.2),
    ]
    assert all(item.audio_path.resolve().is_file() for item in utterances)
    report = json.loads((tmp_path / "out" / "train.report.json").read_text())
    assert (report["part"], report["utterances"], report["converted_now"]) == ("train", 2, 2)
    assert [problem["where"] for problem in report["problems"]] == [str(sources[1])]
    assert report["problems"][0]["reason"].startswith("expected audio (wav, FLAC")
    assert str(part.problems[0]).count(str(sources[1])) == 1


def test_the_number_of_processes_changes_nothing(tmp_path: Path, write_tone) -> None:
    sources = [write_tone(tmp_path / f"{number}.wav", 200.0 + number) for number in range(40)]
    for number in (3, 17, 30):
        sources[number].write_bytes(b"")
    one, three = (convert(sources, tmp_path / f"out{jobs}", jobs) for jobs in (1, 3))
    assert one.problems == three.problems
    assert len(one.problems) == 3
    assert one.manifest.read_bytes() == three.manifest.read_bytes()
    for left, right in zip(utterances_of(one), utterances_of(three), strict=True):
        assert left.audio_path.read_bytes() == right.audio_path.read_bytes()


def test_windows_change_nothing(tmp_path: Path, write_tone, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [write_tone(tmp_path / f"{number}.wav", 200.0 + number) for number in range(8)]
    sources[4].write_bytes(b"")
    whole = convert(sources, tmp_path / "whole")
    convert(sources[1:6:2], tmp_path / "cut")
    monkeypatch.setattr(convert_module, "WINDOW", 3)
    monkeypatch.setattr(convert_module, "map_in_processes", lambda function, items, jobs, crashed: map(function, items))
    seen: list[tuple[int, int]] = []
    cut = convert_part("train", recordings_of(sources), tmp_path / "cut", 1, lambda *counts: seen.append(counts))
    assert (cut.num_converted, cut.problems) == (4, whole.problems)
    assert [item.id for item in utterances_of(cut)] == list("0123567")
    assert cut.manifest.read_bytes() == whole.manifest.read_bytes()
    assert seen == [(1, 8), (2, 8), (3, 8), (5, 8), (6, 8), (6, 8), (7, 8), (8, 8)]
    assert convert(sources, tmp_path / "cut").num_converted == 0


def test_problems_met_before_come_first(tmp_path: Path, write_tone) -> None:
    sources = [write_tone(tmp_path / f"{number}.wav") for number in range(2)]
    sources[0].write_bytes(b"")
    first, second = recordings_of(sources)
    met = [Problem("list:1", "no words"), Problem("list:2", "no recording")]
    part = convert_part("train", iter([first, met[0], second, met[1]]), tmp_path / "out", 1)
    assert [problem.where for problem in part.problems] == ["list:1", "list:2", str(sources[0])]
    assert [item.id for item in utterances_of(part)] == ["1"]
    report = json.loads((tmp_path / "out" / "train.report.json").read_text())
    assert [problem["where"] for problem in report["problems"]] == ["list:1", "list:2", str(sources[0])]


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and transcripts are in memory for a window at a time, on the first run and when all is done."""

    def quickly(function, items: list[Recording], jobs: int, crashed: object) -> Iterator[Entry]:
        for item in items:
            (tmp_path / item.target).touch()
            yield Entry(stamp(source), stamp(tmp_path / item.target), 1_000)

    monkeypatch.setattr(convert_module, "WINDOW", 10)
    monkeypatch.setattr(convert_module, "map_in_processes", quickly)
    source = tmp_path / "a.wav"
    source.touch()
    peaks: list[int] = []
    for count in (50, 350):
        for num_new in (count, 0):
            found = (Recording(str(source), f"{n}-of-{count}", f"{n:<2000}", "s", str(n)) for n in range(count))
            tracemalloc.start()
            part = convert_part(f"of-{count}", found, tmp_path, 1)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert (part.num_utterances, part.num_converted) == (count, num_new)
    for small, large in zip(peaks[:2], peaks[2:]):
        assert (large - small) / 300 < 500  # bytes a recording; its transcript alone has 2000


def test_a_second_run_touches_nothing(tmp_path: Path, write_tone) -> None:
    sources = [write_tone(tmp_path / f"{number}.wav") for number in range(3)]
    first = convert(sources, tmp_path / "out")
    before = stamps(tmp_path / "out" / "wav")
    lines = first.manifest.read_bytes()
    second = convert(sources, tmp_path / "out")
    assert (second.num_converted, stamps(tmp_path / "out" / "wav")) == (0, before)
    assert (second.num_utterances, second.hours, second.manifest.read_bytes()) == (3, first.hours, lines)


def cut_target(source: Path, target: Path) -> None:
    target.write_bytes(target.read_bytes()[:-1])


def cut_target_keeping_its_time(source: Path, target: Path) -> None:
    time_ns = target.stat().st_mtime_ns
    cut_target(source, target)
    os.utime(target, ns=(time_ns, time_ns))


def change_target_keeping_its_size(source: Path, target: Path) -> None:
    target.write_bytes(target.read_bytes()[:-2] + b"xx")


def delete_target(source: Path, target: Path) -> None:
    target.unlink()


def change_source(source: Path, target: Path) -> None:
    soundfile.write(source, np.full(500, 0.25), 16_000)


def change_source_keeping_its_time(source: Path, target: Path) -> None:
    time_ns = source.stat().st_mtime_ns
    change_source(source, target)
    os.utime(source, ns=(time_ns, time_ns))


DAMAGES = [
    cut_target,
    cut_target_keeping_its_time,
    change_target_keeping_its_size,
    delete_target,
    change_source,
    change_source_keeping_its_time,
]


def test_what_has_changed_is_converted_again_and_only_that(tmp_path: Path, write_tone) -> None:
    sources = [write_tone(tmp_path / f"{number}.wav", 300.0 + number) for number in range(len(DAMAGES) + 2)]
    first = convert(sources, tmp_path / "out")
    for damage, source, utterance in zip(DAMAGES, sources, utterances_of(first)):
        damage(source, utterance.audio_path)
    second = convert(sources, tmp_path / "out")
    for utterance, source in zip(utterances_of(second), sources, strict=True):
        expected, _ = soundfile.read(source, dtype="int16")
        values, _ = soundfile.read(utterance.audio_path, dtype="int16")
        np.testing.assert_array_equal(values, expected)
        assert utterance.duration_s == pytest.approx(len(expected) / 16_000, abs=1e-4)
    assert (second.num_converted, second.problems) == (len(DAMAGES), ())


def test_a_record_that_is_torn_or_damaged_costs_only_the_lines_it_lost(tmp_path: Path, write_tone) -> None:
    sources = [write_tone(tmp_path / f"{number}.wav") for number in range(4)]
    convert(sources, tmp_path / "out")
    record = tmp_path / "out" / "train.done"
    lines = record.read_text().split("\n")
    record.write_text("\n".join(["null", "\0", '{"target_file": "x"}', *lines[:-1], lines[-1][:30]]))
    assert convert(sources, tmp_path / "out").num_converted == 1
    assert convert(sources, tmp_path / "out").num_converted == 0
    record.unlink()
    assert convert(sources, tmp_path / "out").num_converted == 4


@pytest.mark.parametrize("suffix", ["sph", "wav", "flac"])
def test_a_recording_that_is_cut_off_is_no_utterance(suffix: str, tmp_path: Path, write_tone) -> None:
    options = {"format": "NIST", "subtype": "PCM_16"} if suffix == "sph" else {}
    sources = [write_tone(tmp_path / f"{name}.{suffix}", **options) for name in "ab"]
    sources[0].write_bytes(sources[0].read_bytes()[: sources[0].stat().st_size * 2 // 3])
    part = convert(sources, tmp_path / "out")
    assert [utterance.id for utterance in utterances_of(part)] == ["b"]
    assert [problem.where for problem in part.problems] == [str(sources[0])]
    assert part.problems[0].reason.startswith(("truncated", "damaged"))


def test_no_utterance_left_writes_no_manifest_and_says_so(tmp_path: Path) -> None:
    part = convert([tmp_path / "missing.wav"], tmp_path / "out")
    assert [str(problem) for problem in part.problems] == [
        f"{tmp_path}/missing.wav: No such file or directory",
        f"{tmp_path}/out/train.jsonl: not written, because no utterance is left",
    ]
    assert not part.manifest.exists()


def test_a_recording_is_never_written_over_by_its_own_conversion(tmp_path: Path, write_tone) -> None:
    source = write_tone(tmp_path / "corpus" / "wav" / "a.wav", rate_hz=8_000)
    before = source.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "corpus")
    part = convert([source], tmp_path / "link")
    assert part.problems[0].reason.startswith("would be written over by its own conversion")
    assert (part.num_utterances, source.read_bytes()) == (0, before)


def test_an_output_folder_that_cannot_be_one_is_an_error(tmp_path: Path, write_tone) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OSError, match="File exists"):
        convert([write_tone(tmp_path / "a.wav")], tmp_path / "out")


def test_a_target_that_cannot_be_written_ends_the_run_with_its_name(tmp_path: Path, write_tone) -> None:
    source = write_tone(tmp_path / "a.wav")
    (tmp_path / "out" / "wav" / "a.wav").mkdir(parents=True)
    with pytest.raises(OSError, match=r"a\.wav"):
        convert([source], tmp_path / "out")


def test_a_killed_run_leaves_nothing_half_and_the_next_one_finishes(tmp_path: Path, write_tone) -> None:
    sources = [tmp_path / "in" / f"{number:03}.flac" for number in range(40)]
    write_tone(sources[0], duration_s=20.0)
    for path in sources[1:]:
        shutil.copy(sources[0], path)
    out = tmp_path / "out"
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from pathlib import Path\n"
        "from test_convert import convert\n"
        "if __name__ == '__main__': convert(sorted(Path(sys.argv[3]).iterdir()), Path(sys.argv[4]), jobs=2)\n"
    )
    (tmp_path / "run.py").write_text(code)
    paths = [str(ROOT), str(Path(__file__).parent), str(tmp_path / "in"), str(out)]
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), *paths])
    while len(list(out.glob("wav/[!.]*.wav"))) < 3:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.2)  # the workers leave
    targets = list(out.glob("wav/[!.]*.wav"))
    assert 3 <= len(targets) < 40
    assert {soundfile.info(path).frames for path in targets} == {320_000}
    for name in ("000", "039"):  # what a kill in the middle of writing leaves
        (out / "wav" / f".{name}.wav.1234567.partial.wav").write_bytes(b"RIFF")
    (out / "wav" / "000.wav").unlink()
    part = convert(sources, out, jobs=2)
    assert (part.num_utterances, part.problems) == (40, ())
    assert sorted(path.name for path in (out / "wav").iterdir()) == [f"{number:03}.wav" for number in range(40)]
    expected, _ = soundfile.read(sources[0])
    for utterance in utterances_of(part):
        np.testing.assert_array_equal(soundfile.read(utterance.audio_path)[0], expected)

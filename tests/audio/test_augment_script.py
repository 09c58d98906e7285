"""`scripts/augment.py`: a file a technique, a picture, and no overwriting."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from crnn_asr.audio.showcase import make_takes
from crnn_asr.errors import AudioError, DataError

SINGLE = {"original", "noise", "reverb", "stretch", "speed", "band_stop", "gain", "equalizer", "trim", "everything"}


@pytest.fixture
def augment(script: Callable[[str], ModuleType]) -> Callable[..., int]:
    main = script("augment").main
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture
def recording(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "in.flac"
    samples = rng.normal(0, 0.1, 22_050)
    samples[-4_000:] *= 0.01  # soft enough to be cut off
    soundfile.write(path, samples, 22_050)
    return path


def test_one_file_a_technique_and_a_picture(
    augment: Callable[..., int], recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    assert augment(recording, out, "--seed", 3) == 0
    assert {path.stem for path in out.glob("*.wav")} == SINGLE
    sounds = {path.stem: soundfile.read(path)[0] for path in out.glob("*.wav")}
    for name in SINGLE - {"original"}:
        same_length = len(sounds[name]) == len(sounds["original"])
        assert not same_length or np.abs(sounds[name] - sounds["original"]).max() > 0.01, name
    assert soundfile.info(out / "gain.wav").samplerate == 16_000
    assert (out / "augment.png").read_bytes().startswith(b"\x89PNG")
    assert len(capsys.readouterr().out.splitlines()) == len(SINGLE) + 1


def test_noise_and_rooms(
    augment: Callable[..., int], recording: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    for name in ("noise", "rooms"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "a.wav", rng.normal(0, 0.1, 2_000), 16_000)
    folders = ("--noise", tmp_path / "noise", "--rooms", tmp_path / "rooms")
    assert augment(recording, tmp_path, *folders, "--force") == 0
    assert {path.stem for path in tmp_path.glob("*.wav")} == SINGLE | {"noise_file", "room_file"}


def test_the_seed_decides(rng: np.random.Generator) -> None:
    samples = rng.normal(0, 0.1, 8_000).astype(np.float32)
    first, again, other = (make_takes(samples, 16_000, (), (), seed) for seed in (1, 1, 2))
    for index in range(1, len(SINGLE)):
        np.testing.assert_array_equal(first[index].samples, again[index].samples)
        assert first[index].effects == again[index].effects != other[index].effects


def test_refusals(augment: Callable[..., int], recording: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="expected an empty folder; give another one, or --force"):
        augment(recording, tmp_path)
    with pytest.raises(FileNotFoundError):
        augment(tmp_path / "gone.wav", tmp_path / "out")
    with pytest.raises(NotADirectoryError, match="nowhere"):
        augment(recording, tmp_path / "out", "--noise", tmp_path / "nowhere")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="nothing: expected recordings"):
        augment(recording, tmp_path / "out", "--rooms", tmp_path / "nothing")
    soundfile.write(tmp_path / "short.wav", np.zeros(399), 16_000)
    with pytest.raises(AudioError, match="at least 400 samples"):
        augment(tmp_path / "short.wav", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_very_short_recording(augment: Callable[..., int], tmp_path: Path, rng: np.random.Generator) -> None:
    """Too short to stretch, long enough for everything else."""
    soundfile.write(tmp_path / "short.wav", rng.normal(0, 0.1, 500), 16_000)
    assert augment(tmp_path / "short.wav", tmp_path / "out") == 0

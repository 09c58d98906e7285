"""Synthetic speech by espeak-ng, called in this process; the library and its voices come with `espeakng-loader`.

espeak-ng is GPLv3: it serves the demo and the tests, and whoever trains on speech of his own does not need it.
"""

import ctypes
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crnn_asr.errors import DataError

# Values of espeak-ng's speak_lib.h, whose interface is stable.
_SYNCHRONOUS = 2  # espeak_Synth returns when all samples were handed over
_DONT_EXIT = 0x8000  # on a failed start
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1
_VARIANTS = Path("voices") / "!v"

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """A language or accent of espeak-ng, as `en-us`, and a variant of the vocal tract, as `f3`."""

    language: str
    variant: str

    def __str__(self) -> str:
        return f"{self.language}+{self.variant}"


@dataclass(frozen=True)
class Delivery:
    """How a sentence is said: words a minute, and pitch and its range from 0 to 100, where 50 is the voice's own."""

    rate_wpm: int = 160
    pitch: int = 50
    pitch_range: int = 50


class Speaker:
    """espeak-ng with one voice; to be closed, or used in a `with`.

    The library keeps its state (of generators, filters and the last sentence) in globals that nothing resets. Each
    speaker therefore loads a copy of its own: what it says depends only on voice, seed and what it said before.

    Args:
        voice: one that `espeakng-loader` carries.
        seed: for the breath and the flutter of the voice.

    Raises:
        DataError: no such language or variant, or `espeakng-loader` is not installed.

    Example:
        >>> with Speaker(Voice("en-us", "f3")) as speaker:
        ...     samples = speaker.say("flight level one hundred")
    """

    sample_rate_hz: int

    def __init__(self, voice: Voice, seed: int = 0) -> None:
        library_path, data_path = _find_espeak()
        _require_variant(voice, data_path)
        with tempfile.TemporaryDirectory() as folder:  # once loaded, the file is not needed
            self._library = ctypes.CDLL(shutil.copy(library_path, folder))
        self.sample_rate_hz = self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(data_path).encode(), _DONT_EXIT)
        if self.sample_rate_hz <= 0:
            raise DataError(f"espeak-ng cannot start from {data_path}; reinstall espeakng-loader")
        self._pieces: list[bytes] = []
        self._callback = _Callback(self._receive)  # must live as long as the library calls it
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        if self._library.espeak_SetVoiceByName(str(voice).encode()):
            languages = sorted(path.name.lower() for path in (data_path / "lang").rglob("*") if path.is_file())
            raise DataError(f"espeak-ng has no language {voice.language!r}; it has {', '.join(languages)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._library.espeak_Terminate()

    def say(self, text: str, delivery: Delivery = Delivery()) -> NDArray[np.float32]:
        """Speak a text.

        Returns:
            Samples (N,) at `sample_rate_hz`, full scale at ±1.

        Raises:
            DataError: espeak-ng refuses, or gives no sound for this text.
        """
        parameters = {_RATE: delivery.rate_wpm, _PITCH: delivery.pitch, _RANGE: delivery.pitch_range}
        codes = [self._library.espeak_SetParameter(name, value, 0) for name, value in parameters.items()]
        self._pieces.clear()
        encoded = text.encode() + b"\0"
        codes.append(self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 0, 0, _UTF8, None, None))
        pcm = np.frombuffer(b"".join(self._pieces), np.int16)
        if any(codes) or not pcm.any():
            raise DataError(f"espeak-ng cannot say {text!r} with {delivery} (codes {codes}, 0 is well)")
        return pcm.astype(np.float32) / np.float32(32_768)

    def _receive(self, samples: Any, num_samples: int, _events: object) -> int:
        if samples and num_samples:
            self._pieces.append(ctypes.string_at(samples, 2 * num_samples))
        return 0  # go on


def _find_espeak() -> tuple[Path, Path]:
    """The library's file and the folder of its data."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise DataError("synthesis needs espeak-ng: pip install espeakng-loader") from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


def _require_variant(voice: Voice, data_path: Path) -> None:
    """Check what espeak-ng passes over in silence: it speaks in the plain voice where the variant is not known."""
    variants = sorted(path.name for path in (data_path / _VARIANTS).iterdir())
    if voice.variant not in variants:
        raise DataError(f"espeak-ng has no variant {voice.variant!r}; it has {', '.join(variants)}")

"""What is wrong with an utterance by itself: its recording, its transcript, and whether the two go together."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crnn_asr.audio.fingerprint import Fingerprint, fingerprint
from crnn_asr.audio.quality import Quality, measure_quality
from crnn_asr.audio.read import decode_audio
from crnn_asr.config import TrainingConfig
from crnn_asr.console import describe
from crnn_asr.corpus.manifest import Utterance
from crnn_asr.corpus.truncation import require_whole

SILENT_DB = -60.0  # of the loudest 20 ms; the quietest of a thousand real recordings has -36
QUIET_DB = -50.0  # mean level
NOISE_ALONE_DB = -5.0  # estimated SNR; steady noise gives -10
NOISY_DB = 5.0
CLIPPED_SHARE, SLIGHTLY_CLIPPED_SHARE = 0.01, 0.0005
OFFSET = 0.02  # of full scale: what lies below goes through the front end's window without a trace
DURATION_S, DURATION_SHARE = 0.1, 0.01  # a manifest may be off by both: rounded, or what an MP3 adds at its ends
MAX_SYMBOLS_PER_S = 30.0  # letters and digits; the fastest readers say 25


@dataclass(frozen=True, slots=True)
class Measured:
    """What reading a recording gave."""

    duration_s: float
    sample_rate_hz: int
    quality: Quality
    print: Fingerprint


@dataclass(frozen=True, slots=True)
class Item:
    """An utterance of a good line: the number of its manifest, from 0, and of the line, from 1.

    `measured` is the reason instead where the recording cannot be read; `text` is normalized.
    """

    manifest: int
    line: int
    utterance: Utterance
    text: str
    measured: Measured | str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an utterance. A fault must not be trained on; a remark is to be looked at."""

    kind: str
    reason: str
    is_fault: bool


def fault(kind: str, reason: str) -> Finding:
    return Finding(kind, reason, is_fault=True)


def remark(kind: str, reason: str) -> Finding:
    return Finding(kind, reason, is_fault=False)


def measure(path: Path) -> Measured | str:
    """Read and measure a recording at its own rate, or say why it cannot be used; runs in a worker."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return "there is no such file"
        require_whole(path)
        samples, rate_hz = decode_audio(path)
    except (OSError, ValueError) as error:
        return describe(error).removeprefix(f"{path}: ")
    return Measured(len(samples) / rate_hz, rate_hz, measure_quality(samples, rate_hz), fingerprint(samples))


def find_in_one(item: Item) -> Iterator[Finding]:
    """Everything that needs no other utterance."""
    yield from _find_in_text(item)
    if isinstance(item.measured, str):
        yield fault("unreadable", item.measured)
        return
    yield from _find_in_duration(item, item.measured)
    yield from _find_in_sound(item.measured.quality)


def _find_in_text(item: Item) -> Iterator[Finding]:
    raw = item.utterance.text
    if not item.text:
        yield fault("empty text", f"no letter and no digit in the transcript {raw!r:.60}")
    broken = sorted({character for character in raw if _is_broken(character)})
    if broken:
        names = ", ".join(f"U+{ord(character):04X}" for character in broken[:10])
        yield fault("broken text", f"characters that no transcript has: {names}")


def _is_broken(character: str) -> bool:
    """Control characters, what a decoder puts for bytes it does not know, private and unassigned code points."""
    return character == "\ufffd" or (
        unicodedata.category(character) in ("Cc", "Co", "Cn") and character not in "\t\n\r"
    )


def _find_in_duration(item: Item, measured: Measured) -> Iterator[Finding]:
    told_s, found_s = item.utterance.duration_s, measured.duration_s
    if abs(told_s - found_s) > max(DURATION_S, DURATION_SHARE * found_s):
        yield fault("wrong duration", f"the manifest says {told_s:.2f} s, the recording has {found_s:.2f} s")
    num_symbols = sum(map(str.isalnum, item.text))
    if num_symbols > MAX_SYMBOLS_PER_S * found_s:
        reason = f"{num_symbols} letters and digits in {found_s:.2f} s, which nobody can say; another transcript?"
        yield fault("text does not fit", reason)
    training = TrainingConfig()
    low_s, high_s = training.min_duration_s, training.max_duration_s
    if not low_s <= found_s <= high_s:
        yield remark("unusual duration", f"{found_s:.2f} s, and training takes {low_s:g} to {high_s:g} s by default")


def _find_in_sound(quality: Quality) -> Iterator[Finding]:
    if quality.loudest_db < SILENT_DB:
        yield fault("silent", f"the loudest moment has {quality.loudest_db:.0f} dB of full scale")
        return
    if quality.snr_db < NOISE_ALONE_DB:
        yield fault("no speech", "nothing stands out of the background")
    elif quality.snr_db < NOISY_DB:
        yield remark("noisy", f"signal-to-noise ratio of about {quality.snr_db:.0f} dB")
    if quality.level_db < QUIET_DB:
        yield remark("quiet", f"a mean level of {quality.level_db:.0f} dB of full scale")
    if quality.clipped_share >= SLIGHTLY_CLIPPED_SHARE:
        reason = f"{quality.clipped_share:.2%} of the samples are cut off at the highest peak"
        yield Finding("clipped", reason, is_fault=quality.clipped_share >= CLIPPED_SHARE)
    if abs(quality.offset) > OFFSET:
        yield remark("offset", f"the samples have a mean of {quality.offset:+.3f} of full scale, which should be 0")

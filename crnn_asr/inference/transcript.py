"""What recognition gives: text, words with their times, and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass

from crnn_asr.text.decode import Symbol


@dataclass(frozen=True)
class Word:
    """A word and when it is said, in seconds from the start of the recording.

    The times are those of the frames in which the network put out the letters. CTC does that somewhere inside the
    sound, often late and briefly: good for finding a word and for subtitles, not for phonetics.
    """

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Transcript:
    """The result of one recording. `seconds` is what features, network and decoding took, without reading."""

    words: tuple[Word, ...]
    duration_s: float
    seconds: float

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing per second of sound."""
        return self.seconds / self.duration_s


def split_words(symbols: Sequence[Symbol], frame_s: float, duration_s: float) -> tuple[Word, ...]:
    """Words of decoded symbols, which spaces divide.

    Args:
        symbols: as a decoder gives them, their times in logit frames.
        frame_s: seconds per logit frame.
        duration_s: the recording's; no word ends later.
    """
    groups: list[list[Symbol]] = [[]]
    for symbol in symbols:
        if symbol.character == " ":
            groups.append([])
        else:
            groups[-1].append(symbol)
    return tuple(
        Word(
            "".join(symbol.character for symbol in group),
            min(group[0].start * frame_s, duration_s),
            min(group[-1].end * frame_s, duration_s),
        )
        for group in groups
        if group
    )

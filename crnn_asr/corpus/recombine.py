"""New utterances from the words of old ones: what a speaker said, in an order in which nobody said it.

A network that hears an hour of phrases learns the phrases by heart. Words cut out and joined in random order teach it
the words. Idea: aligned data augmentation (Lam et al., Interspeech 2021).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn_asr.audio.read import Samples, read_audio, write_audio
from crnn_asr.corpus.manifest import Utterance, write_manifest
from crnn_asr.errors import DataError

MANIFEST = "recombined.jsonl"
_FADE_S = 0.005  # at both ends of each piece, so that nothing clicks
_ON = 0.4  # probability that a piece goes on with the next word, as it was said
_RARITY = 0.4  # a piece starts at a word with a probability of (how often the word is said) to minus this
_IN_FOLDER = 1_000
_NAME = "recombined-"

Progress = Callable[[int, int], object]  # of (done, total)
Word = tuple[str, int, int]  # and its samples [start, end)


@dataclass(frozen=True)
class Cut:
    """An utterance and its words, in order and side by side."""

    utterance: Utterance
    words: tuple[Word, ...]


def recombine(
    cuts: Sequence[Cut],
    out: Path,
    count: int,
    sample_rate_hz: int,
    num_words: tuple[int, int] | None = None,
    only: Collection[str] = (),
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> list[Utterance]:
    """Write new recordings and their manifest, `recombined.jsonl`; the same arguments give the same samples.

    Each is of one speaker's words; where an utterance has no speaker, of its own words. Rare words are drawn more often
    than they were said.

    Args:
        cuts: utterances that `cut_words` cut.
        out: folder for the manifest and `wav/`.
        count: how many to make.
        sample_rate_hz: in which the words' samples count, and the rate of the new recordings.
        num_words: fewest and most words of one; None is as many as the cut utterances have.
        only: the words to take; none is all.
        seed: of everything that is drawn.
        progress: called with (done, total) after each.

    Raises:
        DataError: there is no utterance, or no word to take, or `out` holds the recordings themselves.
        AudioError, OSError: a recording can no longer be read, or `out` not written to.
    """
    if not cuts:
        raise DataError("expected utterances that were cut into words, got none; does the model know their language?")
    speakers: dict[str, list[Cut]] = defaultdict(list)
    for cut in cuts:
        speakers[cut.utterance.speaker or f"\0{cut.utterance.id}"].append(cut)
    said = Counter(word for cut in cuts for word, _, _ in cut.words)
    sources = [_Source(own, said, only) for _, own in sorted(speakers.items())]
    sources = [source for source in sources if source.starts]
    if not sources:
        raise DataError(f"not one of {len(said)} words can be taken; expected some of those in --only")
    lengths = [len(cut.words) for cut in cuts] if num_words is None else range(num_words[0], num_words[1] + 1)
    folder = (out / "wav").resolve()
    if any(cut.utterance.audio_path.resolve().is_relative_to(folder) for cut in cuts):
        raise DataError(f"{out}: recordings there are among those to be cut, and would be written over; choose another")
    (out / MANIFEST).unlink(missing_ok=True)  # or an interruption would leave old texts beside new recordings
    rng, made = np.random.default_rng(seed), []
    for number in range(count):
        pieces = sources[number % len(sources)].draw(int(rng.choice(lengths)), rng)
        samples = np.concatenate([_faded(piece, sample_rate_hz) for piece in pieces])
        name = f"{_NAME}{number:06d}"
        path = out / "wav" / f"{number // _IN_FOLDER:03d}" / f"{name}.wav"
        write_audio(path, samples, sample_rate_hz)
        text = " ".join(word for piece in pieces for word, _, _ in piece.words)
        made.append(Utterance(path, len(samples) / sample_rate_hz, text, pieces[0].utterance.speaker, name))
        progress(number + 1, count)
    write_manifest(out / MANIFEST, made)
    kept = {item.audio_path for item in made}
    for path in (out / "wav").glob(f"*/{_NAME}*.wav"):
        if path not in kept:
            path.unlink()  # of an earlier run that made more
    return made


class _Source:
    """The utterances of a speaker, and the places in them where a piece may start."""

    def __init__(self, cuts: Sequence[Cut], said: Counter[str], only: Collection[str]) -> None:
        self.cuts, self.only = cuts, only
        self.starts = [
            (cut, place) for cut in cuts for place, (word, _, _) in enumerate(cut.words) if not only or word in only
        ]
        weights = np.array([said[cut.words[place][0]] ** -_RARITY for cut, place in self.starts])
        self.weights = weights / weights.sum() if len(weights) else weights

    def draw(self, num_words: int, rng: np.random.Generator) -> list[Cut]:
        """Pieces of so many words in all."""
        pieces: list[Cut] = []
        while num_words > 0:
            cut, start = self.starts[rng.choice(len(self.starts), p=self.weights)]
            end = start + 1
            while end < len(cut.words) and end - start < num_words and rng.random() < _ON:
                if self.only and cut.words[end][0] not in self.only:
                    break
                end += 1
            pieces.append(Cut(cut.utterance, cut.words[start:end]))
            num_words -= end - start
        return pieces


def _faded(piece: Cut, sample_rate_hz: int) -> Samples:
    """The samples of a piece, from silence to silence."""
    samples = read_audio(piece.utterance.audio_path, sample_rate_hz)[piece.words[0][1] : piece.words[-1][2]].copy()
    length = min(round(_FADE_S * sample_rate_hz), len(samples) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, length, dtype=np.float32)) ** 2
    samples[:length] *= ramp
    samples[len(samples) - length :] *= ramp[::-1]
    return samples

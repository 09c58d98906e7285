"""A corpus of synthetic speech in LibriSpeech's own layout, so that it goes the same way as the real one.

    OUT/LibriSpeech/SPEAKERS.TXT
    OUT/LibriSpeech/<subset>/<speaker>/1/<speaker>-1.trans.txt and <speaker>-1-<nnnn>.flac

A speaker is a voice with a rate and a pitch of its own, which vary a little from one utterance to the next.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crnn_asr.audio.augment import Augmenter
from crnn_asr.audio.read import Samples, resample, write_audio
from crnn_asr.config import AugmentConfig, TextConfig
from crnn_asr.corpus.accents import Spellings, respell
from crnn_asr.corpus.grammar import Grammar
from crnn_asr.corpus.parallel import map_in_processes
from crnn_asr.corpus.speech import Delivery, Speaker, Voice
from crnn_asr.corpus.voices import DEV, ENGLISH_ACCENTS, FEMALE_VARIANTS, TEST, TRAIN, voices
from crnn_asr.errors import DataError
from crnn_asr.files import write_text
from crnn_asr.text.normalize import normalize

SAMPLE_RATE_HZ = 16_000
_CHAPTER = 1
_SPEAKERS_FILE = "SPEAKERS.TXT"
_SILENCE_S = (0.05, 0.3)  # before and after the speech
_RATE_WPM, _PITCH, _PITCH_RANGE = (105.0, 150.0), (35.0, 65.0), (30.0, 70.0)  # of a speaker
_RATE_JITTER, _PITCH_JITTER = 0.08, 5.0  # of an utterance
_MAX_PEAK = 0.98

Progress = Callable[[int, int], None]  # (done, total) utterances


@dataclass(frozen=True)
class Subset:
    """What was made; `num_known` counts utterances whose sentence the training subset has too, word for word."""

    name: str
    num_utterances: int
    num_speakers: int
    duration_s: float
    num_known: int


@dataclass(frozen=True)
class _Task:
    """The speech of one speaker: everything that a worker process needs to make it."""

    subset: str
    speaker_id: int
    voice: Voice
    spellings: Spellings | None
    num_utterances: int
    grammar: Grammar
    conditions: AugmentConfig
    seed: int
    root: Path


@dataclass(frozen=True)
class _Spoken:
    sentences: tuple[str, ...]
    duration_s: float


def recording_conditions(room_probability: float = 0.2, noise_probability: float = 0.2) -> AugmentConfig:
    """Synthetic rooms and white noise, each on that part of the utterances, 0 to 1."""
    return AugmentConfig(
        noise_probability=noise_probability,
        noise_snr_db=(10.0, 30.0),
        noise_file_probability=0.0,
        reverb_probability=room_probability,
        reverb_decay_s=(0.1, 0.4),
        stretch_probability=0.0,
        speed_probability=0.0,
        band_stop_probability=0.0,
        gain_probability=1.0,
        gain_db=(-12.0, 0.0),
    )


def synthesize(
    grammar: Grammar,
    out: Path,
    counts: Mapping[str, int],
    languages: Sequence[str] = ENGLISH_ACCENTS,
    accents: Mapping[str, Spellings] | None = None,
    conditions: AugmentConfig | None = None,
    seed: int = 0,
    jobs: int = 1,
    force: bool = False,
    progress: Progress = lambda *_: None,
) -> list[Subset]:
    """Speak sentences of a grammar, the whole corpus or nothing. The same arguments give the same samples.

    Args:
        out: folder in which `LibriSpeech/` is made.
        counts: utterances for each of `TRAIN`, `DEV` and `TEST`, from 0 (leaves it out).
        languages: accents as espeak-ng names them, dealt out over the voices.
        accents: for some of the languages, how its voices are to read the grammar's words; transcripts keep the words.
        conditions: what becomes of the clean speech; `recording_conditions()` where None.
        jobs: number of processes; it does not change the result.
        force: replace a corpus that was synthesized before.

    Raises:
        DataError: nothing to say, a voice that does not exist, a word without a spelling for a language that has
            others, accents of other languages alone, or a corpus that is there already.
        OSError: `out` cannot be written to.
    """
    if not languages or min(counts.values()) < 0 or max(counts.values()) == 0:
        raise DataError(f"expected a language and counts of utterances from 0, one above, got {dict(counts)}")
    accents = accents or {}
    if accents and not set(accents) & set(languages):
        raise DataError(
            f"expected an accent of one of the languages {', '.join(languages)}, got those of {', '.join(accents)}"
        )
    root = out / "LibriSpeech"
    _require_free(root, force)
    partial = out / ".LibriSpeech.partial"
    shutil.rmtree(partial, ignore_errors=True)
    tasks = _tasks(grammar, partial, counts, languages, accents, conditions or recording_conditions(), seed)
    try:
        spoken = []
        for task, result in zip(tasks, map_in_processes(_speak, tasks, jobs, crashed=None)):
            if result is None:
                raise OSError(f"the process that spoke as {task.voice} died; is there enough memory?")
            spoken.append(result)
            progress(sum(len(one.sentences) for one in spoken), sum(counts.values()))
        write_text(partial / _SPEAKERS_FILE, _speakers_table(tasks, spoken))
        shutil.rmtree(root, ignore_errors=True)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _subsets(counts, tasks, spoken)


def _require_free(root: Path, force: bool) -> None:
    """Refuse to write over a corpus, and over one that is not ours even when forced."""
    if not root.exists():
        return
    foreign = sorted({path.name for path in root.iterdir()} - {TRAIN, DEV, TEST, _SPEAKERS_FILE})
    if foreign:
        raise DataError(f"{root} holds another corpus ({', '.join(foreign[:3])}); pass another folder")
    if not force:
        raise DataError(f"{root} is there already; pass --force to replace it, or another folder")


def _tasks(
    grammar: Grammar,
    root: Path,
    counts: Mapping[str, int],
    languages: Sequence[str],
    accents: Mapping[str, Spellings],
    conditions: AugmentConfig,
    seed: int,
) -> list[_Task]:
    tasks: list[_Task] = []
    speaker_id = 0
    for subset in (TRAIN, DEV, TEST):
        found = voices(subset, languages)
        for index, voice in enumerate(found):
            speaker_id += 1  # the same voice has the same number whatever the counts are
            share = len(range(index, counts.get(subset, 0), len(found)))
            if share:
                spellings = accents.get(voice.language)
                tasks.append(_Task(subset, speaker_id, voice, spellings, share, grammar, conditions, seed, root))
    return tasks


def _speak(task: _Task) -> _Spoken:
    """Say and write everything of one speaker; in a worker."""
    augmenter = Augmenter(task.conditions, SAMPLE_RATE_HZ)
    language = task.voice.language.split("-")[0] if task.spellings is None else "en"
    text_config = TextConfig(casing="upper", language=language)
    manner = _draw_delivery(np.random.default_rng([task.seed, task.speaker_id]))
    folder = task.root / task.subset / str(task.speaker_id) / str(_CHAPTER)
    sentences, lines, num_samples = [], [], 0
    with Speaker(task.voice, seed=task.seed + task.speaker_id) as speaker:
        for index in range(task.num_utterances):
            rng = np.random.default_rng([task.seed, task.speaker_id, index + 1])
            sentence = task.grammar.sample(rng)
            read = sentence if task.spellings is None else respell(sentence, task.spellings, task.voice.language)
            clean = speaker.say(read, _vary(manner, rng))
            samples = augmenter(_pad(resample(clean, speaker.sample_rate_hz, SAMPLE_RATE_HZ), rng), rng)
            name = f"{task.speaker_id}-{_CHAPTER}-{index:04d}"
            write_audio(folder / f"{name}.flac", _limit(samples), SAMPLE_RATE_HZ)
            sentences.append(normalize(sentence, text_config))
            lines.append(f"{name} {sentences[-1]}\n")
            num_samples += len(samples)
    write_text(folder / f"{task.speaker_id}-{_CHAPTER}.trans.txt", "".join(lines))
    return _Spoken(tuple(sentences), num_samples / SAMPLE_RATE_HZ)


def _draw_delivery(rng: np.random.Generator) -> Delivery:
    rate_wpm, pitch, pitch_range = (rng.uniform(*bounds) for bounds in (_RATE_WPM, _PITCH, _PITCH_RANGE))
    return Delivery(round(rate_wpm), round(pitch), round(pitch_range))


def _vary(manner: Delivery, rng: np.random.Generator) -> Delivery:
    rate_wpm = manner.rate_wpm * rng.uniform(1 - _RATE_JITTER, 1 + _RATE_JITTER)
    return Delivery(
        round(rate_wpm), round(manner.pitch + rng.uniform(-_PITCH_JITTER, _PITCH_JITTER)), manner.pitch_range
    )


def _pad(samples: Samples, rng: np.random.Generator) -> Samples:
    before, after = (int(rng.uniform(*_SILENCE_S) * SAMPLE_RATE_HZ) for _ in range(2))
    return np.pad(samples, (before, after))


def _limit(samples: Samples) -> Samples:
    peak = float(np.max(np.abs(samples)))
    return samples * np.float32(_MAX_PEAK / peak) if peak > _MAX_PEAK else samples


def _speakers_table(tasks: Sequence[_Task], spoken: Sequence[_Spoken]) -> str:
    lines = [";ID  |SEX| SUBSET           |MINUTES| NAME\n"]
    for task, result in zip(tasks, spoken):
        sex = "F" if task.voice.variant in FEMALE_VARIANTS[task.subset] else "M"
        minutes = result.duration_s / 60
        lines.append(f"{task.speaker_id:<5}| {sex} | {task.subset:<17}| {minutes:<6.2f}| espeak-ng {task.voice}\n")
    return "".join(lines)


def _subsets(counts: Mapping[str, int], tasks: Sequence[_Task], spoken: Sequence[_Spoken]) -> list[Subset]:
    known = {sentence for task, result in zip(tasks, spoken) if task.subset == TRAIN for sentence in result.sentences}
    subsets = []
    for name in (TRAIN, DEV, TEST):
        results = [result for task, result in zip(tasks, spoken) if task.subset == name]
        if results:
            sentences = [sentence for result in results for sentence in result.sentences]
            duration_s = sum(result.duration_s for result in results)
            num_known = 0 if name == TRAIN else sum(sentence in known for sentence in sentences)
            subsets.append(Subset(name, len(sentences), len(results), duration_s, num_known))
    return subsets

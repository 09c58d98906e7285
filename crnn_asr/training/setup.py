"""From manifests and a configuration to what the loop needs: alphabet, examples, sources of batches."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import tensorflow as tf

from crnn_asr.audio.augment import Augmenter, audio_files
from crnn_asr.config import FeatureConfig, RunConfig
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.errors import DataError
from crnn_asr.text.alphabet import ENGLISH, Alphabet
from crnn_asr.text.normalize import normalize
from crnn_asr.training.batches import BatchSource, Example, select_examples
from crnn_asr.training.budget import Budget, find_budget
from crnn_asr.training.precision import fastest_precision
from crnn_asr.training.records import Record, read_utterances
from crnn_asr.training.transfer import Inheritance, checked, read_source

HELD_OUT = 20  # where no dev manifest is given, one speaker (or utterance) of so many becomes dev

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    """A completed configuration and its data. `failed` are faults of the input, `skipped` what the limits leave out.

    `budget` is the one that was found, if it was to be; `inheritance` what a new run has of another model, and
    `heard_before` how many dev recordings that model was trained on, as far as its manifests are still there.
    """

    config: RunConfig
    train: BatchSource
    dev: BatchSource
    failed: tuple[Problem, ...]
    skipped: tuple[Problem, ...]
    budget: Budget | None
    inheritance: Inheritance | None
    heard_before: int


def prepare(config: RunConfig, alphabet: str, memory_share: float = 0.0, strict: bool = False) -> Setup:
    """Read the manifests and records that `config` names and choose what can be trained on.

    Args:
        config: as wanted; an empty alphabet, the precision `auto` and the checksum of a model to start from are filled
            in.
        alphabet: "auto" (every character of the normalised training text), "english", or the characters themselves.

        memory_share: of the machine's memory, that the configuration's `batch_frames` is replaced by what fits into; 0
            keeps it. Call it before any tensor is made then.
        strict: whether the first fault is an error, here and when the audio is read; else it is left out and named.

    Raises:
        DataError: a manifest without a good line, records that do not fit, nothing left to train on, or not the memory
            for a step.
        ModelError: the model to start from does not fit.
        OSError: a step could not be measured.
    """
    train, failed = _read(config.train_manifests, config.features)
    pool, pool_failed = _read(config.pool_manifests, config.features)
    failed += pool_failed
    if config.dev_manifest:
        dev, dev_failed = _read([config.dev_manifest], config.features)
        failed += dev_failed
    else:
        train, dev = hold_out(train)
    _require_some("training", train, failed)
    if not config.alphabet:
        config = replace(config, alphabet=choose_alphabet(alphabet, [*train, *pool], config))
    if config.training.precision == "auto":
        config = replace(config, training=replace(config.training, precision=fastest_precision()))
    symbols = Alphabet(config.alphabet)
    config = replace(config, model=replace(config.model, num_symbols=symbols.num_symbols))
    inheritance = None
    if config.transfer.model and not config.transfer.sha256:
        config, inheritance = checked(config)
    examples, skipped = select_examples(train, config, symbols)
    pool_examples, pool_skipped = select_examples(pool, config, symbols)
    dev_examples, dev_skipped = select_examples(dev, config, symbols)
    _require_some("training", examples, skipped + failed)
    _require_some("dev", dev_examples, dev_skipped + failed)
    if config.pool_manifests:
        _require_some("pool", pool_examples, pool_skipped + failed)
    if strict:
        _require_none([*failed, *skipped, *pool_skipped, *dev_skipped])
    skipped += [*pool_skipped, *dev_skipped]
    counts = {"train": len(examples), "pool": len(pool_examples), "dev": len(dev_examples), "failed": len(failed)}
    counts["skipped"] = len(skipped)
    logger.info("utterances", extra={"fields": counts})
    augmenter = Augmenter(
        config.augment,
        config.features.sample_rate_hz,
        noise_files=audio_files(Path(config.noise_dir)) if config.noise_dir else (),
        room_files=audio_files(Path(config.rooms_dir)) if config.rooms_dir else (),
    )
    budget = None
    if memory_share:
        plan = BatchSource(examples, config, augmenter, pool=pool_examples).plan(0)
        budget = find_budget(config, plan, memory_share)
        config = replace(config, training=replace(config.training, batch_frames=budget.batch_frames))
    return Setup(
        config,
        BatchSource(examples, config, augmenter, strict, pool_examples),
        BatchSource(dev_examples, config, strict=strict),
        tuple(failed),
        tuple(skipped),
        budget,
        inheritance,
        heard_before(Path(config.transfer.model), dev_examples) if inheritance else 0,
    )


def _read(manifests: Sequence[str], features: FeatureConfig) -> tuple[list[Utterance], list[Problem]]:
    utterances: list[Utterance] = []
    problems: list[Problem] = []
    for manifest in manifests:
        found, bad_lines = read_utterances(Path(manifest), features)
        problems += bad_lines
        for utterance in found:
            if isinstance(utterance, Record) or _is_file(utterance.audio_path):
                utterances.append(utterance)
            else:
                problems.append(Problem(f"{manifest}: {utterance.id}", f"no audio file at {utterance.audio_path}"))
    return utterances, problems


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be read
        return False


def _require_some(name: str, kept: Sequence[object], left_out: Sequence[Problem]) -> None:
    if not kept:
        reason = f"; {len(left_out)} are left out, the first: {left_out[0]}" if left_out else ": there is none"
        raise DataError(f"not one {name} utterance can be used{reason}")


def _require_none(faults: Sequence[Problem]) -> None:
    if faults:
        raise DataError(f"{faults[0]}; correct it, or leave out --strict, and it is left out of training")


@contextmanager
def strictly(setup: Setup) -> Iterator[None]:
    """Raise the sentence of the first fault met in reading, of which a pipeline makes an error of TensorFlow's own."""
    try:
        yield
    except (tf.errors.OpError, DataError):
        for source in (setup.train, setup.dev):
            if source.strict:
                _require_none(list(source.problems.values()))
        raise


def hold_out(utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    """Split off a dev set: whole speakers where there are at least five, else every twentieth utterance."""
    speakers = sorted({utterance.speaker for utterance in utterances})
    if len(speakers) >= 5:
        chosen = set(speakers[::HELD_OUT])
        dev = [utterance for utterance in utterances if utterance.speaker in chosen]
        train = [utterance for utterance in utterances if utterance.speaker not in chosen]
        return train, dev
    dev = list(utterances[::HELD_OUT])
    return [utterance for number, utterance in enumerate(utterances) if number % HELD_OUT], dev


def heard_before(model: Path, dev: Sequence[Example]) -> int:
    """How many of these recordings a run or a `.keras` file was trained on; 0 where its manifests are gone."""
    source = read_source(model)
    try:
        utterances = [
            found
            for name in (*source.train_manifests, *source.pool_manifests)
            for found in read_utterances(Path(name), source.features)[0]
        ]
    except (DataError, OSError):  # moved or changed since
        return 0
    heard = {utterance.audio_path for utterance in (utterances if source.dev_manifest else hold_out(utterances)[0])}
    return sum(example.utterance.audio_path in heard for example in dev)


def choose_alphabet(wish: str, utterances: Sequence[Utterance], config: RunConfig) -> tuple[str, ...]:
    """The symbols that `prepare`'s argument asks for."""
    if wish == "english":
        return ENGLISH
    if wish == "auto":
        return Alphabet.from_texts(normalize(utterance.text, config.text) for utterance in utterances).symbols
    return Alphabet(tuple(wish)).symbols

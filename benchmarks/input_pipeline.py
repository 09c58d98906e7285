"""Audio hours a minute of every stage before the network, against reading the files with libsndfile alone.

The stages are run in turn, a few short rounds each, on the same recordings; the table shows medians. All run in one
thread but for the last ones, which are the `tf.data` pipeline as training uses it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import count, cycle
from pathlib import Path

import numpy as np
import soundfile

from crnn_asr.audio.augment import Augmenter
from crnn_asr.audio.features import compute_features
from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.audio.spec_augment import spec_augment
from crnn_asr.config import AugmentConfig, RunConfig
from crnn_asr.console import OK, positive_float, positive_int, run
from crnn_asr.corpus.manifest import Utterance, read_manifest, write_manifest
from crnn_asr.native import load_tensorflow
from crnn_asr.presets import PRESETS

Stage = Callable[[], float]  # does a piece of work and returns how many seconds of audio it was


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="recordings to work on")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="an4", help="recipe (default: an4)")
    parser.add_argument("--utterances", type=positive_int, default=100, help="the first so many (default: 100)")
    parser.add_argument("--rounds", type=positive_int, default=5, help="of every stage (default: 5)")
    parser.add_argument("--seconds", type=positive_float, default=0.5, help="a stage's turn, at least (default: 0.5)")
    return parser.parse_args(argv)


def only(config: AugmentConfig, technique: str) -> AugmentConfig:
    """One technique, always."""
    names = [item.name for item in fields(AugmentConfig) if item.name.endswith("_probability")]
    return replace(config, **{name: float(name == f"{technique}_probability") for name in names})


def plain_stages(utterances: Sequence[Utterance], config: RunConfig, folder: Path) -> dict[str, Stage]:
    """An utterance a call, in this thread."""
    rate = config.features.sample_rate_hz
    sounds = [read_audio(utterance.audio_path, rate) for utterance in utterances]
    features = [compute_features(samples, config.features) for samples in sounds]
    rng = np.random.default_rng(0)

    def over(function: Callable[[int], object]) -> Stage:
        turn = cycle(range(len(utterances)))

        def stage() -> float:
            index = next(turn)
            function(index)
            return len(sounds[index]) / rate

        return stage

    def augmented(augmenter: Augmenter) -> Stage:
        return over(lambda i: augmenter(sounds[i], rng))

    def convert(index: int) -> None:
        write_audio(folder / "converted.wav", read_audio(utterances[index].audio_path, rate), rate)

    stages = {
        "libsndfile alone": over(lambda i: soundfile.read(utterances[i].audio_path, dtype="float32")),
        "read": over(lambda i: read_audio(utterances[i].audio_path, rate)),
        "read and write (convert)": over(convert),
        "features": over(lambda i: compute_features(sounds[i], config.features)),
        "SpecAugment": over(lambda i: spec_augment(features[i], config.spec_augment, rng)),
    }
    for technique in ("stretch", "speed", "trim", "reverb", "noise", "band_stop", "gain", "equalizer"):
        stages[f"augment: {technique}"] = augmented(Augmenter(only(config.augment, technique), rate))
    stages["augment: as the preset draws"] = augmented(Augmenter(config.augment, rate))
    return stages


def batch_stages(utterances: Sequence[Utterance], config: RunConfig, folder: Path) -> dict[str, Stage]:
    """An epoch a call: what a pipeline prepares ahead is done when it ends, and disturbs no other stage."""
    from crnn_asr.training.batches import BatchSource
    from crnn_asr.training.build_records import build_records
    from crnn_asr.training.records import read_utterances
    from crnn_asr.training.setup import prepare

    build_records(utterances, folder / "records", config.features)
    records, _ = read_utterances(folder / "records", config.features)
    turn = cycle(records)

    def read_record() -> float:
        record = next(turn)
        record.read_features()
        return record.duration_s

    def epoch(source: BatchSource, workers: int) -> Stage:
        def stage() -> float:
            batches = source.dataset(source.plan(next(epochs)), workers=workers)
            return sum(float(np.sum(batch[1])) for batch in batches) * config.features.hop_ms / 1000

        return stage

    epochs = count()
    stages: dict[str, Stage] = {"records: read": read_record}
    write_manifest(folder / "audio.jsonl", utterances)
    for name, path in (("audio", folder / "audio.jsonl"), ("records", folder / "records")):
        wanted = replace(config, train_manifests=(str(path),), dev_manifest=str(folder / "audio.jsonl"))
        source = prepare(wanted, "auto").train
        for workers in (1, 2):
            stages[f"batches of {name}, {workers} worker{'s'[: workers - 1]}"] = epoch(source, workers)
    return stages


def hours_a_minute(stage: Stage, seconds: float) -> float:
    """Throughput of calls for at least so long, each wholly counted."""
    audio, start = 0.0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        audio += stage()
    return audio / 60 / spent


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    load_tensorflow()
    config = PRESETS[args.preset]
    utterances = read_manifest(args.manifest)[0][: args.utterances]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stages = plain_stages(utterances, config, folder)
        stages |= batch_stages(utterances, config, folder)
        for stage in stages.values():
            stage()  # imports and caches
        found: dict[str, list[float]] = {name: [] for name in stages}
        for _ in range(args.rounds):
            for name, stage in stages.items():
                found[name].append(hours_a_minute(stage, args.seconds))
    limit = statistics.median(found["libsndfile alone"])
    print(f"{len(utterances)} utterances, {args.rounds} rounds of {args.seconds:g} s, medians:")
    print(f"{'':32}{'hours/minute':>14}{'of the limit':>14}")
    for name, values in found.items():
        median = statistics.median(values)
        print(f"{name:32}{median:14.2f}{100 * median / limit:12.1f} %")
    return OK


if __name__ == "__main__":
    run(main)

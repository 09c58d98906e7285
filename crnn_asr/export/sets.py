"""Which utterances a run is calibrated and judged on."""

from dataclasses import dataclass
from pathlib import Path

from crnn_asr.config import RunConfig
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.training.records import Record, read_utterances
from crnn_asr.training.setup import hold_out


@dataclass(frozen=True)
class UtteranceSets:
    """Utterances to measure ranges on, utterances to score on, and the bad lines of their manifests."""

    calibration: tuple[Utterance, ...]
    dev: tuple[Utterance, ...]
    problems: tuple[Problem, ...]


def read_sets(config: RunConfig, calibration: Path | None = None, dev: Path | None = None) -> UtteranceSets:
    """The manifests named here, and where None, what the run was trained on and chosen by.

    Raises:
        DataError: a manifest without one good line.
        OSError: one that cannot be opened.
    """
    problems: list[Problem] = []

    def read(*manifests: str | Path) -> list[Utterance]:
        utterances = []
        for manifest in manifests:
            found, bad_lines = read_utterances(Path(manifest), config.features)
            utterances += found
            problems.extend(bad_lines)
        return utterances

    dev_manifest = dev or config.dev_manifest
    train = [] if calibration and dev_manifest else read(*config.train_manifests)
    if dev_manifest:
        chosen = read(dev_manifest)
    else:  # as in training
        train, chosen = hold_out([u for u in train if isinstance(u, Record) or u.audio_path.is_file()])
    return UtteranceSets(tuple(read(calibration) if calibration else train), tuple(chosen), tuple(problems))

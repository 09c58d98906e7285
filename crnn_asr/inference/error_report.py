"""What a recognizer gets wrong, as a folder: a page to read and listen to, its picture, and everything as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crnn_asr.audio.read import read_audio, write_audio
from crnn_asr.corpus.manifest import Problem
from crnn_asr.files import write_text
from crnn_asr.inference.evaluation import Evaluation, Heard
from crnn_asr.inference.robustness import Robustness
from crnn_asr.text.alignment import Confusions, align_characters, align_words, count_confusions

NUM_WORST = 20
NUM_OTHERS = 5  # of the best and of the median utterances
_AUDIO_BYTES = 18_000_000  # of all recordings together, so that the folder can be sent to someone


@dataclass(frozen=True)
class ErrorReport:
    """An evaluation with what is told about it.

    `language` is the code of that of the transcripts, `problems` all that was left out.
    """

    model: str
    manifest: str
    language: str
    evaluation: Evaluation
    robustness: Robustness | None
    problems: tuple[Problem, ...]

    @cached_property
    def words(self) -> Confusions:
        results = self.evaluation.utterances
        return count_confusions(pair for item in results for pair in align_words(item.reference, item.hypothesis))

    @cached_property
    def characters(self) -> Confusions:
        results = self.evaluation.utterances
        return count_confusions(pair for item in results for pair in align_characters(item.reference, item.hypothesis))

    @cached_property
    def worst(self) -> list[Heard]:
        """The most wrong words first."""
        return self.evaluation.worst(NUM_WORST)

    @cached_property
    def median(self) -> list[Heard]:
        """Those in the middle of all, from worse to better."""
        ranked = self.evaluation.ranked()
        start = max(0, (len(ranked) - NUM_OTHERS) // 2)
        return ranked[start : start + NUM_OTHERS]

    @cached_property
    def best(self) -> list[Heard]:
        """The longest without an error first."""
        return self.evaluation.ranked()[::-1][:NUM_OTHERS]

    def to_dict(self) -> dict[str, Any]:
        """All of it in JSON types; see `Evaluation.to_dict` for the units."""
        return {
            "model": self.model,
            "manifest": self.manifest,
            "language": self.language,
            **result_dict(self.evaluation, self.robustness),
            "problems": [asdict(problem) for problem in self.problems],
            "worst": [item.id for item in self.worst],
            "median": [item.id for item in self.median],
            "best": [item.id for item in self.best],
            "confusions": {"words": asdict(self.words), "characters": asdict(self.characters)},
        }


def result_dict(evaluation: Evaluation, robustness: Robustness | None) -> dict[str, Any]:
    """An evaluation in JSON types, with the conditions it was repeated under, if any."""
    return {**evaluation.to_dict(), **({"robustness": robustness.to_dict()} if robustness else {})}


def write_report(report: ErrorReport, folder: Path, sample_rate_hz: int) -> None:
    """Write `index.html`, `report.json`, `audio/` and `robustness.png` over those of an earlier report.

    Args:
        sample_rate_hz: of the recordings that are copied, the model's.

    Raises:
        AudioError, OSError: a recording has gone since it was evaluated; no space.
    """
    from crnn_asr.inference.report_page import render_page
    from crnn_asr.inference.robustness_picture import draw_robustness

    for stale in (folder / "robustness.png", *folder.glob("audio/worst-*.wav")):
        stale.unlink(missing_ok=True)
    picture = None
    if report.robustness and report.robustness.surroundings.snrs_db and report.evaluation.scores.words.units:
        picture = "robustness.png"
        draw_robustness(report.robustness, folder / picture)
    players = _copy_audio(report.worst, folder, sample_rate_hz)
    write_text(folder / "report.json", json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "index.html", render_page(report, players, picture))


def _copy_audio(worst: Sequence[Heard], folder: Path, sample_rate_hz: int) -> list[str | None]:
    """Write each recording as the model heard it, as 16-bit wav, which every browser plays; None where it is too long.

    Beside the page, not inside: Safari does not play every data URI.
    """
    names: list[str | None] = []
    left = _AUDIO_BYTES
    for number, item in enumerate(worst, start=1):
        samples = read_audio(item.audio_path, sample_rate_hz)
        fits = 2 * len(samples) <= left
        names.append(f"audio/worst-{number:02d}.wav" if fits else None)
        if fits:
            left -= 2 * len(samples)
            write_audio(folder / f"audio/worst-{number:02d}.wav", samples, sample_rate_hz)
    return names

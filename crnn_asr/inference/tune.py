"""A language model's settings for a model file: the network runs once, then each setting decodes what it gave.

What is found is kept in the model file's description.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_asr.corpus.manifest import Utterance
from crnn_asr.inference import model_file
from crnn_asr.inference.evaluation import Evaluation, Progress, evaluate
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.language.beam import BeamDecoder
from crnn_asr.language.decoding import UNKNOWN_PENALTY
from crnn_asr.language.histories import LanguageModel
from crnn_asr.language.tuning import Tuning
from crnn_asr.language.words import WordScores
from crnn_asr.text.metrics import Scores, score

Logits = list[NDArray[np.float32]]


def listen(
    recognizer: Recognizer, utterances: Sequence[Utterance], progress: Progress = lambda done, total: None
) -> tuple[Evaluation, Logits]:
    """The result of greedy decoding, and the logits (T', V) of each utterance in it.

    Raises:
        DataError: not one utterance could be read.
    """
    logits: Logits = []

    def run(features: NDArray[np.float32]) -> NDArray[np.float32]:
        logits.append(recognizer.logits(features))
        return logits[-1]

    metadata = recognizer.metadata
    return evaluate(run, metadata.features, metadata.text, recognizer.alphabet, utterances, progress), logits


def errors_by_setting(
    recognizer: Recognizer, lm: LanguageModel, greedy: Evaluation, logits: Logits
) -> Callable[[float, float, int], Scores]:
    """A function from alpha, beta and beam to the errors on what `listen` gave."""
    words = WordScores(lm, 0.0, 0.0, lm.vocabulary, UNKNOWN_PENALTY, {})
    references = [item.reference for item in greedy.utterances]

    def errors(alpha: float, beta: float, beam: int) -> Scores:
        decoder = BeamDecoder(recognizer.alphabet, beam, words.weighted(alpha, beta))
        return score(references, [decoder.text(values) for values in logits])

    return errors


def keep(path: Path, tuning: Tuning) -> None:
    """Write the model file anew, with the tuning in place of one of the same language model; whole or not at all."""
    network, metadata = model_file.read(path)
    others = tuple(other for other in metadata.tunings if other.sha256 != tuning.sha256)
    model_file.write(path, network, replace(metadata, tunings=(*others, tuning)))

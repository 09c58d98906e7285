"""The dev set, heard by the weights as they will be exported: averaged, and in float32."""

from typing import Any

import numpy as np

from crnn_asr.config import RunConfig
from crnn_asr.errors import DataError
from crnn_asr.text.alphabet import Alphabet
from crnn_asr.text.decode import greedy_batch
from crnn_asr.text.metrics import Scores, score
from crnn_asr.training.batches import BatchSource
from crnn_asr.training.model import CRNN
from crnn_asr.training.step import make_dev_step


class DevSet:
    """Utterances that choose the best epoch, and a model for them. Make it under the strategy of the run."""

    def __init__(self, source: BatchSource, config: RunConfig) -> None:
        self.source = source
        self.alphabet = Alphabet(config.alphabet)
        self.model = CRNN(config.model, frozen=config.transfer.freeze)
        self.step = make_dev_step(self.model)
        self.plan = source.plan(0)

    def evaluate(self, model: CRNN, optimizer: Any) -> tuple[float, Scores, list[tuple[str, str, str]]]:
        """Dev loss in nats an utterance, corpus scores, and (id, reference, hypothesis) of every utterance.

        Raises:
            DataError: not one of them can be read.
        """
        losses: list[float] = []
        texts: list[tuple[str, str, str]] = []
        self.model.set_weights(model.get_weights())
        optimizer.finalize_variable_values(self.model.trainable_variables)
        for planned in self.plan.batches:
            batch, examples = self.source.load(self.plan, planned)
            if not examples:
                continue
            logits, lengths, values = self.step(*batch)
            losses += values.numpy().tolist()
            hypotheses = greedy_batch(logits.numpy(), lengths.numpy(), self.alphabet)
            texts += [(e.utterance.id, e.text, hypothesis) for e, hypothesis in zip(examples, hypotheses)]
        if not texts:
            first = next(iter(self.source.problems.values()))
            raise DataError(f"not one dev utterance could be read; the first: {first}")
        scores = score([reference for _, reference, _ in texts], [hypothesis for *_, hypothesis in texts])
        return float(np.mean(losses)), scores, sorted(texts)

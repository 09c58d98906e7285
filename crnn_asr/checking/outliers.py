"""What is unlike the rest of a corpus: lengths, sample rates, symbols, and speech of another length than its words.

Each function takes all utterances and gives (index, finding) of those that stand out. Only robust statistics are used:
quantiles, and a fit in which no single utterance weighs much.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from crnn_asr.checking.findings import NOISY_DB, Finding, Item, Measured, fault, remark

FEW = 50  # utterances, of which nothing is said by comparison
FENCE = 3.0  # quartile distances beyond the quartiles (Tukey's outer fences)
RARE_RATE_SHARE = 0.1  # of the utterances; two halves of a corpus may have two rates
RARE_SYMBOL_SHARE = 0.003  # of the utterances, in which a symbol of a rare kind stands
FIT_SIGMAS, FIT_FACTOR = 4.5, 2.0  # both at once: speech so much shorter or longer than its transcript lets expect
_ANYWHERE = {" ", "'"}  # symbols that belong to letters of any kind, however rare
_FIT_ROUNDS = 20
_MIN_SPEECH_S = 0.05

Found = Iterator[tuple[int, Finding]]


def find_durations(items: Sequence[Item]) -> Found:
    """Recordings whose length is far outside those of the corpus, on a scale of ratios."""
    indices, measured = _measured(items)
    if len(indices) < FEW:
        return
    logs = np.log([each.duration_s for each in measured])
    first, third = np.quantile(logs, (0.25, 0.75))
    low, high = first - FENCE * (third - first), third + FENCE * (third - first)
    for index, each, log in zip(indices, measured, logs):
        if not low <= log <= high:
            usual = f"{np.exp(low):.2f} to {np.exp(high):.2f} s"
            yield index, remark("unusual duration", f"{each.duration_s:.2f} s, where the corpus has {usual}")


def find_rates(items: Sequence[Item]) -> Found:
    """Recordings at a rate that few others have."""
    indices, measured = _measured(items)
    counts = Counter(each.sample_rate_hz for each in measured)
    for index, each in zip(indices, measured):
        if counts[each.sample_rate_hz] < RARE_RATE_SHARE * len(measured):
            usual = counts.most_common(1)[0][0]
            yield index, remark("other rate", f"{each.sample_rate_hz} Hz, where the corpus has {usual} Hz")


def find_symbols(items: Sequence[Item]) -> Found:
    """Symbols of a kind (script, case, digit, accent, …) that hardly any transcript has.

    A rare letter of a common kind is not told: the only Q of a small corpus is a letter like the others. It is a fault
    where training would see the symbol, and a remark where normalizing takes it away.
    """
    if len(items) < FEW:
        return
    limit = max(1.0, RARE_SYMBOL_SHARE * len(items))
    seen = [set(item.text) for item in items]
    raw = [set(unicodedata.normalize("NFC", item.utterance.text)) for item in items]
    rare_seen, rare_raw = _rare(seen, limit), _rare(raw, limit)
    for index, (symbols, characters) in enumerate(zip(seen, raw)):
        if unknown := symbols & rare_seen:
            yield index, fault("unknown symbols", f"{_listed(unknown)}, unlike what the corpus is written with")
        elif unknown := characters & rare_raw:
            yield index, remark("unusual symbols", f"{_listed(unknown)}, which training would take away")


def _rare(sets: Sequence[set[str]], limit: float) -> set[str]:
    kinds = Counter(kind for characters in sets for kind in {_kind(character) for character in characters})
    return {character for character in set().union(*sets) - _ANYWHERE if kinds[_kind(character)] <= limit}


def _kind(character: str) -> tuple[str, str, bool]:
    """Script (the first word of the name), category, and whether it is made of a letter and an accent."""
    script = unicodedata.name(character, "none").split()[0] if character.isalpha() else ""
    return script, unicodedata.category(character), bool(unicodedata.decomposition(character))


def _listed(characters: set[str]) -> str:
    return ", ".join(f"{each!r} (U+{ord(each):04X})" for each in sorted(characters)[:10])


def find_misfits(items: Sequence[Item]) -> Found:
    """Transcripts that are much too long or too short for what is spoken, as those of other recordings are.

    The time someone speaks is fitted as a constant, a time a letter and a time a word, which suits read sentences and
    spelled words alike. What is judged is the ratio of speech to fit, in robust standard deviations of its logarithm
    and as a factor. In noise it cannot be told when someone speaks.
    """
    kept = [
        index
        for index, item in enumerate(items)
        if isinstance(item.measured, Measured) and item.measured.quality.snr_db >= NOISY_DB and item.text
    ]
    if len(kept) < FEW:
        return
    texts = [items[index].text for index in kept]
    sizes = np.array([(1, sum(map(str.isalnum, text)), len(text.split())) for text in texts], np.float64)
    _, measured = _measured([items[index] for index in kept])
    speech_s = np.array([max(_MIN_SPEECH_S, each.quality.speech_s) for each in measured])
    log_ratios, sigma = _fit(sizes, speech_s)
    for index, speech, log_ratio in zip(kept, speech_s, log_ratios):
        factor = float(np.exp(abs(log_ratio)))
        if factor >= FIT_FACTOR and abs(log_ratio) >= FIT_SIGMAS * sigma:
            than = "longer" if log_ratio > 0 else "shorter"
            reason = f"{speech:.1f} s of speech, {factor:.1f} times {than} than such a transcript takes; another one?"
            yield index, fault("text does not fit", reason)


def _fit(sizes: NDArray[np.float64], speech_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Logarithm of speech over fit (N,), its median taken away, and its deviation, from the median of magnitudes.

    Least squares of relative errors, again and again with less weight on what is far off (Huber's).
    """
    weights = np.ones(len(speech_s))
    for _ in range(_FIT_ROUNDS):
        times, *_ = np.linalg.lstsq(sizes * weights[:, None], speech_s * weights, rcond=None)
        fitted = np.maximum(_MIN_SPEECH_S, sizes @ times)
        log_ratios = np.log(speech_s / fitted)
        log_ratios -= np.median(log_ratios)
        sigma = max(1e-3, 1.4826 * float(np.median(np.abs(log_ratios))))
        weights = 1 / (fitted * np.sqrt(np.maximum(1, np.abs(log_ratios) / (1.5 * sigma))))
    return log_ratios, sigma


def _measured(items: Sequence[Item]) -> tuple[list[int], list[Measured]]:
    pairs = [(index, item.measured) for index, item in enumerate(items) if isinstance(item.measured, Measured)]
    return [index for index, _ in pairs], [measured for _, measured in pairs]

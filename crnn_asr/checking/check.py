"""A corpus looked through: every recording of some manifests read and measured, every fault and oddity named."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from crnn_asr.checking.findings import Finding, Item, Measured, find_in_one, measure
from crnn_asr.checking.leaks import find_same_audio, find_shared_speakers
from crnn_asr.checking.outliers import find_durations, find_misfits, find_rates, find_symbols
from crnn_asr.config import FeatureConfig, TextConfig
from crnn_asr.corpus.manifest import Problem, Utterance, read_lines
from crnn_asr.corpus.parallel import map_in_processes
from crnn_asr.errors import DataError
from crnn_asr.text.normalize import normalize

MAY_SHARE = ("nothing", "speakers", "everything")  # several manifests
CRASHED: Measured | str = "the process that read it died; the file may be damaged, or memory ran out"

Progress = Callable[[int, int], None]  # (done, total)


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no utterance: the number of its manifest, from 0, and of the line, from 1."""

    manifest: int
    line: int
    problem: Problem


@dataclass(frozen=True)
class Check:
    """What was found. `findings` are those of each of `items`; a line of `bad_lines` is a fault as a whole."""

    manifests: tuple[Path, ...]
    items: tuple[Item, ...]
    findings: tuple[tuple[Finding, ...], ...]
    bad_lines: tuple[BadLine, ...]

    @cached_property
    def left_out(self) -> list[tuple[Item, tuple[Finding, ...]]]:
        """Utterances with a fault, and their faults."""
        pairs = (
            (item, tuple(each for each in found if each.is_fault)) for item, found in zip(self.items, self.findings)
        )
        return [(item, faults) for item, faults in pairs if faults]

    @cached_property
    def remarked(self) -> list[tuple[Item, tuple[Finding, ...]]]:
        """Utterances with remarks alone."""
        return [
            (item, found)
            for item, found in zip(self.items, self.findings)
            if found and not any(each.is_fault for each in found)
        ]

    @cached_property
    def good_lines(self) -> list[set[int]]:
        """Of each manifest, the numbers of the lines without a fault."""
        good: list[set[int]] = [set() for _ in self.manifests]
        for item, found in zip(self.items, self.findings):
            if not any(each.is_fault for each in found):
                good[item.manifest].add(item.line)
        return good

    @property
    def num_faulty(self) -> int:
        return len(self.left_out) + len(self.bad_lines)

    @cached_property
    def counts(self) -> dict[tuple[str, bool], int]:
        """Utterances by (kind, whether it is a fault), the most frequent first."""
        counts = Counter(key for found in self.findings for key in {(each.kind, each.is_fault) for each in found})
        if self.bad_lines:
            counts["bad line", True] = len(self.bad_lines)
        return dict(sorted(counts.items(), key=lambda pair: (not pair[0][1], -pair[1])))

    @cached_property
    def remarks(self) -> list[str]:
        """What is to be said of the corpus as a whole."""
        measured = [item.measured for item in self.items if isinstance(item.measured, Measured)]
        rates = Counter(each.sample_rate_hz for each in measured)
        needed = FeatureConfig().sample_rate_hz
        remarks = []
        if len(rates) > 1:
            listed = ", ".join(f"{count:,} at {rate} Hz" for rate, count in rates.most_common())
            remarks.append(f"Recordings have different sample rates: {listed}.")
        low = sum(count for rate, count in rates.items() if rate < needed)
        if low:
            remarks.append(
                f"{low:,} of {len(measured):,} recordings have less than the {needed} Hz of the front end: "
                "what is above half their rate stays empty."
            )
        return remarks


def check(
    manifests: Sequence[Path],
    jobs: int,
    may_share: str = "nothing",
    language: str = "en",
    progress: Progress = lambda done, total: None,
) -> Check:
    """Read and measure everything that some manifests name, in parallel, and judge it.

    Args:
        manifests: splits of one corpus.
        jobs: number of processes.
        may_share: of `MAY_SHARE`, what two manifests may have in common; "everything" are parts of one split.
        language: of the transcripts, for their normal form.
        progress: called with the number of recordings done and of all.

    Raises:
        DataError: not one good line in all manifests.
        OSError: a manifest cannot be opened; worker processes die whatever they are given.
    """
    utterances, bad_lines = _read(manifests)
    if not utterances:
        raise DataError(f"not one line can be used; of {len(bad_lines)} bad ones the first: {bad_lines[0].problem}")
    text = TextConfig(language=language)
    items = []
    results = map_in_processes(measure, [each.audio_path for _, _, each in utterances], jobs, CRASHED)
    for (manifest, line, utterance), measured in zip(utterances, results):
        items.append(Item(manifest, line, utterance, normalize(utterance.text, text), measured))
        progress(len(items), len(utterances))
    findings = _judge(items, manifests, may_share)
    return Check(tuple(manifests), tuple(items), findings, tuple(bad_lines))


def _read(manifests: Sequence[Path]) -> tuple[list[tuple[int, int, Utterance]], list[BadLine]]:
    utterances, bad_lines = [], []
    for manifest, path in enumerate(manifests):
        lines = list(read_lines(path))
        if not lines:
            bad_lines.append(
                BadLine(manifest, 1, Problem(str(path), "expected an utterance a line, got an empty file"))
            )
        for line in lines:
            if isinstance(line.found, Utterance):
                utterances.append((manifest, line.number, line.found))
            else:
                bad_lines.append(BadLine(manifest, line.number, line.found))
    return utterances, bad_lines


def _judge(items: Sequence[Item], manifests: Sequence[Path], may_share: str) -> tuple[tuple[Finding, ...], ...]:
    findings: defaultdict[int, list[Finding]] = defaultdict(list)
    for index, item in enumerate(items):
        findings[index] += find_in_one(item)
    for find in (find_durations, find_rates, find_symbols, find_misfits):
        for index, finding in find(items):
            findings[index].append(finding)
    for index, finding in find_same_audio(items, manifests, may_share == "everything"):
        findings[index].append(finding)
    if may_share == "nothing":
        for index, finding in find_shared_speakers(items, manifests):
            findings[index].append(finding)
    return tuple(_one_a_kind(findings[index]) for index in range(len(items)))


def _one_a_kind(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The first of each kind, faults before remarks."""
    kinds: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda each: not each.is_fault):
        kinds.setdefault(finding.kind, finding)
    return tuple(kinds.values())

"""What splits of a corpus must not have in common, and recordings that stand twice."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from crnn_asr.checking.findings import Finding, Item, Measured, fault, remark
from crnn_asr.checking.groups import Groups

Found = Iterator[tuple[int, Finding]]


def find_shared_speakers(items: Sequence[Item], manifests: Sequence[Path]) -> Found:
    """Utterances of speakers that several manifests have.

    A speaker stays in the manifest with most of its utterances, of equals in the last one; elsewhere they are faults.
    """
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for item in items:
        if item.utterance.speaker:
            counts[item.utterance.speaker][item.manifest] += 1
    home = {speaker: max(found, key=lambda number: (found[number], number)) for speaker, found in counts.items()}
    for index, item in enumerate(items):
        speaker = item.utterance.speaker
        if speaker and item.manifest != home[speaker]:
            yield index, fault("shared speaker", f"{manifests[home[speaker]]} has the speaker {speaker!r} too")


def find_same_audio(items: Sequence[Item], manifests: Sequence[Path], may_share: bool) -> Found:
    """Recordings that stand several times, whatever their format and gain.

    With other words each of them is a fault, for nothing tells which words are right. In several manifests, which
    may not share them, they stay in the last. Twice in one, with the same words, is a remark.
    """
    for group in _same_audio(items):
        for index in group:
            item = items[index]
            others = [other for other in group if other != index]
            different = [other for other in others if items[other].text != item.text]
            later = [other for other in others if items[other].manifest > item.manifest]
            if different:
                yield index, fault("same audio, other text", _told(items[different[0]], manifests))
            elif later and not may_share:
                yield index, fault("shared audio", _told(items[later[-1]], manifests))
            elif index != group[0] and items[group[0]].manifest == item.manifest:
                yield index, remark("same audio", _told(items[group[0]], manifests))


def _told(other: Item, manifests: Sequence[Path]) -> str:
    return f"the same recording is {manifests[other.manifest]}:{other.line}, with the text {other.utterance.text!r:.60}"


def _same_audio(items: Sequence[Item]) -> list[list[int]]:
    """Groups of indices, ascending; silence, which is alike everywhere, is in none."""
    buckets: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
    groups = Groups(len(items))
    for index, item in enumerate(items):
        if not isinstance(item.measured, Measured) or not any(item.measured.print.loudest):
            continue
        for key in item.measured.print.places():
            for other in buckets[key]:
                measured = items[other].measured
                assert isinstance(measured, Measured)
                if measured.print.is_same(item.measured.print):
                    groups.join(other, index)
                    break
            else:
                buckets[key].append(index)
    return [group for group in groups.members() if len(group) > 1]

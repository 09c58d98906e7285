"""LibriSpeech (Panayotov et al. 2015) and every tree that is laid out like it.

SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt     19-198-0000 NORTHANGER ABBEY     an utterance a line
SUBSET/SPEAKER/CHAPTER/19-198-0000.flac              found by its id, whatever the suffix
"""

from collections.abc import Iterator
from pathlib import Path

from crnn_asr.corpus.manifest import Problem
from crnn_asr.corpus.recording import Found, Recording, audio_by_stem, has_audio_suffix


def corpus_root(source: Path) -> Path:
    """The folder of the subsets: `source`, or `LibriSpeech` in it, as the published archives unpack."""
    inner = source / "LibriSpeech"
    return inner if inner.is_dir() else source


def find_subsets(source: Path) -> dict[str, Path]:
    """Subsets by name, sorted; `source` is a corpus, the folder above it, or one subset itself."""
    root = corpus_root(source)
    if _is_subset(root):
        return {root.resolve().name: root}
    if not root.is_dir():
        return {}
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and _is_subset(path)}


def _is_subset(folder: Path) -> bool:
    return any(folder.glob("*/*/*.trans.txt"))


def read_subset(folder: Path, name: str, audio_format: str = "wav") -> Iterator[Found]:
    """Pair the recordings and transcripts of a subset, chapter by chapter, sorted.

    Args:
        folder: of the subset.
        name: of the folder in the output folder under which the converted recordings go, laid out alike.
        audio_format: their suffix.

    Raises:
        OSError: a folder cannot be read.
    """
    for chapter in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        speaker = chapter.parent.name
        audio = audio_by_stem(chapter)
        texts, problems = _read_transcripts(chapter)
        yield from problems
        for stem, (where, text) in texts.items():
            if stem in audio:
                target = f"{name}/{speaker}/{chapter.name}/{stem}.{audio_format}"
                yield Recording(str(audio[stem]), target, text, speaker, stem)
            else:
                yield Problem(where, f"there is no recording {stem} beside this transcript")
        for stem, path in sorted(audio.items()):
            named_alike = stem.startswith(f"{speaker}-{chapter.name}-")
            if stem not in texts and (named_alike or has_audio_suffix(path)):
                yield Problem(str(path), "has no transcript")


def _read_transcripts(chapter: Path) -> tuple[dict[str, tuple[str, str]], list[Problem]]:
    """Where each utterance is transcribed and its words, by id, and what is wrong with the transcripts."""
    texts: dict[str, tuple[str, str]] = {}
    problems = []
    for path in sorted(chapter.glob("*.trans.txt")):
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(path), f"expected transcripts in UTF-8 ({error})"))
            continue
        for number, line in enumerate(lines, start=1):
            where = f"{path}:{number}"
            name, _, text = line.strip().partition(" ")
            if name and not text.strip():
                problems.append(Problem(where, f"expected an id, a space and words, got {line!r}"))
            elif name in texts:
                problems.append(Problem(where, f"{name} stands twice, the first line counts"))
            elif name:
                texts[name] = (where, text.strip())
    return texts, problems

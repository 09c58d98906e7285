"""LibriSpeech (Panayotov et al. 2015) and every tree that is laid out like it.

SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt     19-198-0000 NORTHANGER ABBEY     an utterance a line
SUBSET/SPEAKER/CHAPTER/19-198-0000.flac              found by its id, whatever the suffix
"""

from pathlib import Path

from crnn_asr.corpus.convert import Recording, audio_by_stem, has_audio_suffix
from crnn_asr.corpus.manifest import Problem


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


def read_subset(folder: Path, out: Path, audio_format: str = "wav") -> tuple[list[Recording], list[Problem]]:
    """Pair the recordings and transcripts of a subset, chapter by chapter, sorted.

    Args:
        folder: of the subset.
        out: the folder under which the converted recordings go, laid out alike.
        audio_format: their suffix.
    """
    recordings: list[Recording] = []
    problems: list[Problem] = []
    for chapter in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        speaker = chapter.parent.name
        audio = audio_by_stem(chapter)
        texts = _read_transcripts(chapter, problems)
        for name, (where, text) in texts.items():
            if name in audio:
                target = out / speaker / chapter.name / f"{name}.{audio_format}"
                recordings.append(Recording(audio[name], target, text, speaker, name))
            else:
                problems.append(Problem(where, f"there is no recording {name} beside this transcript"))
        for name, path in sorted(audio.items()):
            named_alike = name.startswith(f"{speaker}-{chapter.name}-")
            if name not in texts and (named_alike or has_audio_suffix(path)):
                problems.append(Problem(str(path), "has no transcript"))
    return recordings, problems


def _read_transcripts(chapter: Path, problems: list[Problem]) -> dict[str, tuple[str, str]]:
    """Where each utterance is transcribed and its words, by id; adds to `problems`."""
    texts: dict[str, tuple[str, str]] = {}
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
    return texts

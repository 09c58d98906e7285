"""CMU AN4 (1991): 948 training and 130 test utterances of letters, digits and commands, in NIST SPHERE files.

The layout of the official archive, which has both sets or the training set alone:

    etc/an4_train.fileids        an4_clstk/fash/an251-fash-b      an utterance a line: folder/speaker/id
    etc/an4_train.transcription  <s> YES </s> (an251-fash-b)      the markers are not always there
    wav/an4_clstk/fash/an251-fash-b.sph
"""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from crnn_asr.corpus.manifest import Problem
from crnn_asr.corpus.recording import Found, Recording, audio_by_stem, has_audio_suffix
from crnn_asr.errors import DataError

DEV_SPEAKERS = slice(4, None, 9)  # of the sorted training speakers: two women and six men, 100 utterances

_TRANSCRIPT = re.compile(r"(?P<words>.*\S)\s*\((?P<id>[^()\s]+)\)")


def read_an4(source: Path, audio_format: str = "wav") -> dict[str, list[Found]]:
    """Pair the recordings and transcripts of each split: `train`, `dev`, and `test` where the source has it.

    Args:
        source: the folder that holds `etc` and `wav`, or the one above it where that is called `an4`.
        audio_format: suffix of the converted recordings.

    Returns:
        For each split what can be converted, and what cannot and why.

    Raises:
        DataError: not the AN4 layout.
        OSError: a list cannot be read.
    """
    root = source if (source / "etc").is_dir() else source / "an4"
    if not (root / "etc" / "an4_train.fileids").is_file():
        raise DataError(
            f"{source}: expected the AN4 corpus with a file etc/an4_train.fileids in it, found none; "
            "give the folder that an4_sphere.tar.gz unpacks to"
        )
    fileids, texts, problems = _read_set(root, "an4_train")
    dev_speakers = sorted({fileid.parent.name for fileid in fileids})[DEV_SPEAKERS]
    dev = [fileid for fileid in fileids if fileid.parent.name in dev_speakers]
    train = [fileid for fileid in fileids if fileid.parent.name not in dev_speakers]
    splits = {"train": _pair(root, train, texts, audio_format), "dev": _pair(root, dev, texts, audio_format)}
    splits["train"] += [*problems, *_unlisted(root, fileids)]
    if (root / "etc" / "an4_test.fileids").is_file():
        fileids, texts, problems = _read_set(root, "an4_test")
        splits["test"] = [*_pair(root, fileids, texts, audio_format), *problems, *_unlisted(root, fileids)]
    return splits


def _read_set(root: Path, name: str) -> tuple[list[PurePosixPath], dict[str, str], list[Problem]]:
    """File ids as listed, transcripts by id, and what is wrong with the two lists."""
    list_path, text_path = root / "etc" / f"{name}.fileids", root / "etc" / f"{name}.transcription"
    fileids: dict[str, PurePosixPath] = {}
    texts: dict[str, str] = {}
    problems = []
    for number, line in _lines(list_path):
        fileid = PurePosixPath(line)
        if fileid.is_absolute() or ".." in fileid.parts or len(fileid.parts) < 2:
            problems.append(Problem(f"{list_path}:{number}", f"expected folder/speaker/id below wav, got {line!r}"))
        elif fileid.name in fileids:
            problems.append(Problem(f"{list_path}:{number}", f"{fileid.name} stands twice, the first line counts"))
        else:
            fileids[fileid.name] = fileid
    for number, line in _lines(text_path):
        match = _TRANSCRIPT.fullmatch(line)
        words = " ".join(word for word in match["words"].split() if word not in ("<s>", "</s>")) if match else ""
        if not match or not words:
            problems.append(Problem(f"{text_path}:{number}", f"expected WORDS (id), got {line!r}"))
        elif match["id"] in texts:
            problems.append(Problem(f"{text_path}:{number}", f"{match['id']} stands twice, the first line counts"))
        elif match["id"] not in fileids:
            problems.append(Problem(f"{text_path}:{number}", f"{match['id']} is not listed in {list_path.name}"))
        else:
            texts[match["id"]] = words
    return list(fileids.values()), texts, problems


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines without blank ones."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a text file in UTF-8, got other bytes") from error
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def _pair(root: Path, fileids: Iterable[PurePosixPath], texts: dict[str, str], audio_format: str) -> list[Found]:
    found: list[Found] = []
    folders: dict[PurePosixPath, dict[str, Path]] = {}
    for fileid in fileids:
        if fileid.parent not in folders:
            folder = root / "wav" / fileid.parent
            folders[fileid.parent] = audio_by_stem(folder) if folder.is_dir() else {}
        source = folders[fileid.parent].get(fileid.name)
        if source is None:
            found.append(Problem(f"{root / 'wav' / fileid}.sph", "listed, but there is no such recording"))
        elif fileid.name not in texts:
            found.append(Problem(str(source), "has no transcript"))
        else:
            target = f"wav/{fileid}.{audio_format}"
            found.append(Recording(str(source), target, texts[fileid.name], fileid.parent.name, fileid.name))
    return found


def _unlisted(root: Path, fileids: list[PurePosixPath]) -> list[Problem]:
    """Recordings beside listed ones that no list names."""
    listed = {(fileid.parent, fileid.name) for fileid in fileids}
    folders = {fileid.parent for fileid in fileids if (root / "wav" / fileid.parent).is_dir()}
    return [
        Problem(str(path), "is not listed in the fileids")
        for folder in sorted(folders)
        for stem, path in sorted(audio_by_stem(root / "wav" / folder).items())
        if (folder, stem) not in listed and has_audio_suffix(path)
    ]

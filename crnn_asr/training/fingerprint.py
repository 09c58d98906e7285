"""Checksums of all the data that a run reads, so that it is known whether another one reads the same."""

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crnn_asr.audio.augment import audio_files
from crnn_asr.config import RunConfig
from crnn_asr.corpus.manifest import Utterance
from crnn_asr.errors import DataError
from crnn_asr.training.records import Record

WHOLE_BYTES = 2 << 30  # of audio altogether, up to which every byte is read: seconds
END_BYTES = 32 << 10  # of larger corpora, from both ends of each file, besides its size
THREADS = 8  # mostly waiting for the disk; hashing lets the others run


def data_checksums(config: RunConfig, utterances: Iterable[Utterance]) -> dict[str, str]:
    """SHA-256 of every file that a run reads, by path; empty for what is not there.

    Of manifests always all bytes count. So they do of recordings, where these are at most 2 GiB in all; of larger ones,
    size and both ends, in which any other recording differs. Features stored as records are counted by their indexes,
    which have a checksum of each record.
    """
    sources = [Path(name) for name in (*config.train_manifests, *config.pool_manifests, config.dev_manifest) if name]
    whole = [path for source in sources for path in (sorted(source.glob("*.json")) if source.is_dir() else [source])]
    audio = {utterance.audio_path for utterance in utterances if not isinstance(utterance, Record)}
    for folder in filter(None, (config.noise_dir, config.rooms_dir)):
        audio.update(audio_files(Path(folder)))
    with ThreadPoolExecutor(THREADS) as pool:
        names = sorted(audio)
        ends = END_BYTES if sum(pool.map(_size, names)) > WHOLE_BYTES else 0
        sums = {str(path): _checksum(path, 0) for path in whole}
        return sums | dict(zip(map(str, names), pool.map(_checksum, names, [ends] * len(names))))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _checksum(path: Path, ends: int) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            if not ends:
                return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha256(f"{size}\n".encode() + file.read(ends))
            file.seek(max(0, size - ends))
            digest.update(file.read(ends))
            return digest.hexdigest()
    except OSError:
        return ""


def to_text(checksums: dict[str, str]) -> str:
    return json.dumps(checksums, indent=0, sort_keys=True, ensure_ascii=False) + "\n"


def summary_of(checksums: dict[str, str]) -> str:
    """One checksum of them all."""
    return hashlib.sha256(to_text(checksums).encode()).hexdigest()


def require_same(found: dict[str, str], config: RunConfig, written: Path) -> None:
    """Raise a `DataError` that names what changed, where the data is not that of `config`.

    Args:
        found: the checksums now.
        config: of the run as it began; without a checksum, any data is its.
        written: where that run wrote its checksums.
    """
    if config.data_sha256 in ("", summary_of(found)):
        return
    try:
        before = json.loads(written.read_text(encoding="utf-8"))
        changed = sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
    except (OSError, ValueError, AttributeError):
        changed = []
    what = f"{changed[0]} and {len(changed) - 1} more files" if len(changed) > 2 else " and ".join(changed)
    raise DataError(
        f"the data changed since the run was started: {what or 'which of it is not known, for data.json is gone'}; "
        "bring it back, or go on with it as it is with --changed-data, which makes it another run"
    )

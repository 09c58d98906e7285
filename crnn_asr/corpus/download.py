"""LibriSpeech's archives from the place where they are published: fetched, checked, unpacked, whole or not at all."""

import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath

from crnn_asr.errors import DataError
from crnn_asr.files import naming

OPENSLR_URL = "https://www.openslr.org/resources/12"
MD5 = {  # published as md5sum.txt beside the archives
    "dev-clean": "42e2234ba48799c1f50f24a7926300a1",
    "dev-other": "c8d0bcc9cca99d4f8b62fcc847357931",
    "test-clean": "32fa31d27d2e1cad72775fee3f4849a9",
    "test-other": "fb5a50374b501bb3bac4815ee91d3135",
    "train-clean-100": "2a93770f6d5c6c964bc36631d331a522",
    "train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
    "train-other-500": "d1a0fd59409feb2c614ce4d30c387708",
}

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)
Bars = Callable[[str, str], AbstractContextManager[Progress]]  # (description, unit), as console.progress_bar

_TOP = "LibriSpeech"  # the folder that every archive holds
_TIMEOUT_S = 60.0  # without a byte from the server
_BLOCK_BYTES = 1 << 20


@contextmanager
def no_bars(description: str, unit: str) -> Iterator[Progress]:
    yield lambda done, total: None


def download_subset(name: str, root: Path, mirror: str = OPENSLR_URL, bars: Bars = no_bars) -> bool:
    """Bring a subset to `root/name`, unless it is there.

    What a broken download has brought stays in `root/NAME.tar.gz.part`, and the next call goes on from there. The
    subset appears under its name only when it is complete.

    Args:
        name: one of `MD5`.
        root: the folder of the subsets.
        mirror: URL of the folder that holds NAME.tar.gz.
        bars: makes a progress bar for each stage.

    Returns:
        False where it was there before.

    Raises:
        DataError: an unknown subset, a wrong checksum, an archive with something else in it.
        OSError: no network, no space, no permission.
    """
    if name not in MD5:
        raise DataError(f"expected one of the subsets {', '.join(MD5)}, got {name!r}")
    if (root / name).is_dir():
        return False
    root.mkdir(parents=True, exist_ok=True)
    archive = root / f"{name}.tar.gz.part"
    with bars(f"{name}: download", "B") as progress:
        _fetch(f"{mirror.rstrip('/')}/{name}.tar.gz", archive, progress)
    with bars(f"{name}: check", "B") as progress:
        _require_sum(archive, MD5[name], progress)
    with bars(f"{name}: unpack", "B") as progress:
        _unpack(archive, name, root, progress)
    archive.unlink()
    return True


def _fetch(url: str, part: Path, progress: Progress) -> None:
    """Download until it is complete, again and again as long as every attempt brings something."""
    size = part.stat().st_size if part.exists() else 0
    while not _fetch_once(url, part, progress):
        before, size = size, part.stat().st_size
        if size <= before:
            raise OSError(
                f"{url}: the connection broke off after {size:,} bytes; run the same command again to go on from there"
            )


def _fetch_once(url: str, part: Path, progress: Progress) -> bool:
    """Append what is missing, or start over with a server that cannot resume; whether all has come."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "crnn-asr", "Range": f"bytes={start}-"}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return True  # nothing comes after what is there; the checksum tells whether that is the archive
        raise OSError(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise OSError(f"{url}: no connection ({reason}); run the same command again to go on") from error
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        start = 0
    length = response.headers["Content-Length"]
    total = start + int(length) if length else 0
    with response, naming(part), part.open("ab" if start else "wb") as file:
        done = start
        while block := _read(response):
            file.write(block)
            done += len(block)
            progress(done, max(done, total))
    return done >= total


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next block; nothing at the end, and nothing where the connection breaks."""
    try:
        return response.read(_BLOCK_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _require_sum(archive: Path, expected: str, progress: Progress) -> None:
    digest, total = hashlib.md5(usedforsecurity=False), archive.stat().st_size
    with archive.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            progress(file.tell(), total)
    if digest.hexdigest() != expected:
        archive.unlink()
        raise DataError(
            f"{archive}: expected the published MD5 sum {expected}, got {digest.hexdigest()}; the file is deleted, "
            "run the same command again to download it anew"
        )


def _unpack(archive: Path, name: str, root: Path, progress: Progress) -> None:
    """Unpack into a folder of its own, then rename: an interrupted or refused archive leaves nothing."""
    scratch = root / f".{name}.unpacking"
    shutil.rmtree(scratch, ignore_errors=True)  # of a killed run
    try:
        with naming(scratch), archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|gz") as members:
            members.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4 on
            for member in members:
                _require_inside(member, archive)
                members.extract(member, scratch)
                progress(raw.tell(), archive.stat().st_size)
        if not (scratch / _TOP / name).is_dir():
            raise DataError(f"{archive}: expected a folder {_TOP}/{name} in it, found none")
        for path in (scratch / _TOP).glob("*.TXT"):  # licence, speakers, chapters
            path.replace(root / path.name)
        (scratch / _TOP / name).rename(root / name)
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(f"{archive}: not a tar.gz archive that can be unpacked ({error})") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _require_inside(member: tarfile.TarInfo, archive: Path) -> None:
    path = PurePosixPath(member.name)
    inside = path.parts[:1] == (_TOP,) and ".." not in path.parts
    if not inside or not (member.isfile() or member.isdir()):
        raise DataError(
            f"{archive}: expected only files and folders below {_TOP}/, got {member.name!r}; nothing of it is unpacked"
        )

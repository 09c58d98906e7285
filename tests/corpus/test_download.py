"""Downloads from a server on this machine that breaks off, cannot resume, lies, or holds hostile archives."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crnn_asr.corpus import download
from crnn_asr.corpus.download import download_subset
from crnn_asr.corpus.librispeech import find_subsets, read_subset
from crnn_asr.corpus.recording import Recording
from crnn_asr.errors import DataError


class Server(ThreadingHTTPServer):
    """Serve `archive` as /dev-clean.tar.gz, as well or as badly as its fields say."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.archive = b""
        self.resumes = True
        self.break_off_after: int | None = None  # bytes of each answer
        self.says_length = True
        self.status = 200
        self.requests: list[str | None] = []  # the Range of each

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers["Range"]
        server.requests.append(asked)
        if server.status != 200 or self.path != "/dev-clean.tar.gz":
            return self.send_error(server.status if server.status != 200 else 404)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.resumes else 0
        body = server.archive[start:]
        if start and not body:
            return self.send_error(416)
        self.send_response(206 if asked and server.resumes else 200)
        if server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.break_off_after])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def tar_gz(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o755 if kind == tarfile.DIRTYPE else 0o644
    return info


@pytest.fixture
def publish(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Put an archive on the server and its sum into the table of published ones."""

    def put(archive: bytes) -> None:
        server.archive = archive
        monkeypatch.setitem(download.MD5, "dev-clean", hashlib.md5(archive).hexdigest())

    return put


@pytest.fixture
def published(librispeech: Path, publish: Callable[[bytes], None]) -> Path:
    """The tiny dev-clean on the server, with the licence beside it as in the real archives."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        (librispeech / "LICENSE.TXT").write_text("CC BY 4.0\n")
        tar.add(librispeech, "LibriSpeech")
    publish(archive.getvalue())
    return librispeech / "dev-clean"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_published_sums_are_those_of_all_seven_subsets() -> None:
    assert sorted(download.MD5) == sorted(
        ["dev-clean", "dev-other", "test-clean", "test-other", "train-clean-100", "train-clean-360", "train-other-500"]
    )
    assert len({md5 for md5 in download.MD5.values() if len(bytes.fromhex(md5)) == 16}) == 7


def test_a_subset_arrives_whole_and_is_found(published: Path, server: Server, tmp_path: Path) -> None:
    root = tmp_path / "new" / "LibriSpeech"
    assert download_subset("dev-clean", root, server.url + "/")
    assert contents(root / "dev-clean") == contents(published)
    assert sorted(path.name for path in root.iterdir()) == ["LICENSE.TXT", "dev-clean"]
    assert list(find_subsets(root)) == ["dev-clean"]
    found = list(read_subset(root / "dev-clean", "dev-clean"))
    assert len(found) == 8 and all(isinstance(one, Recording) for one in found)


def test_what_is_there_is_not_downloaded_again(published: Path, server: Server, tmp_path: Path) -> None:
    download_subset("dev-clean", tmp_path, server.url)
    assert not download_subset("dev-clean", tmp_path, server.url)
    assert len(server.requests) == 1


def test_a_connection_that_breaks_off_is_taken_up_again(published: Path, server: Server, tmp_path: Path) -> None:
    server.break_off_after = len(server.archive) // 3 + 1
    download_subset("dev-clean", tmp_path, server.url)
    step = server.break_off_after
    assert server.requests[1:] == [f"bytes={step}-", f"bytes={2 * step}-"]
    assert contents(tmp_path / "dev-clean") == contents(published)


def test_the_next_run_goes_on_where_the_last_one_was_stopped(published: Path, server: Server, tmp_path: Path) -> None:
    (tmp_path / "dev-clean.tar.gz.part").write_bytes(server.archive[:1000])
    download_subset("dev-clean", tmp_path, server.url)
    assert server.requests == ["bytes=1000-"]
    assert contents(tmp_path / "dev-clean") == contents(published)


def test_a_download_that_was_complete_is_used(published: Path, server: Server, tmp_path: Path) -> None:
    (tmp_path / "dev-clean.tar.gz.part").write_bytes(server.archive)
    download_subset("dev-clean", tmp_path, server.url)
    assert contents(tmp_path / "dev-clean") == contents(published)


def test_a_server_that_cannot_resume_sends_all_again(published: Path, server: Server, tmp_path: Path) -> None:
    server.resumes = False
    (tmp_path / "dev-clean.tar.gz.part").write_bytes(b"x" * 1000)
    download_subset("dev-clean", tmp_path, server.url)
    assert contents(tmp_path / "dev-clean") == contents(published)


def test_a_server_that_always_breaks_off_at_the_same_byte_is_given_up(
    published: Path, server: Server, tmp_path: Path
) -> None:
    server.resumes, server.break_off_after = False, 1000
    root = tmp_path / "new"
    with pytest.raises(OSError, match="broke off after 1,000 bytes; run the same command again"):
        download_subset("dev-clean", root, server.url)
    assert contents(root) == {"dev-clean.tar.gz.part": server.archive[:1000]}
    assert len(server.requests) == 2


@pytest.mark.parametrize("says_length", [True, False])
def test_a_wrong_sum_is_refused_and_nothing_of_it_kept(
    says_length: bool, published: Path, server: Server, tmp_path: Path
) -> None:
    expected = download.MD5["dev-clean"]
    server.says_length = says_length
    server.archive = server.archive[:-1] + bytes([server.archive[-1] ^ 1])
    got = hashlib.md5(server.archive).hexdigest()
    root = tmp_path / "new"
    with pytest.raises(DataError, match=f"expected the published MD5 sum {expected}, got {got}; the file is deleted"):
        download_subset("dev-clean", root, server.url)
    assert list(root.iterdir()) == []


def test_a_stale_beginning_is_noticed_by_the_sum(published: Path, server: Server, tmp_path: Path) -> None:
    part = tmp_path / "dev-clean.tar.gz.part"
    for stale in (b"x" * 1000, server.archive + b"more"):
        part.write_bytes(stale)
        with pytest.raises(DataError, match="MD5"):
            download_subset("dev-clean", tmp_path, server.url)
        assert not part.exists()
    assert download_subset("dev-clean", tmp_path, server.url)


GOOD = (member("LibriSpeech/dev-clean/1/2/1-2.trans.txt"), b"1-2-0000 GOOD\n")
HOSTILE = {
    "above": [(member("LibriSpeech/../../evil.txt"), b"x")],
    "far above": [(member("LibriSpeech/dev-clean/../../../../evil.txt"), b"x")],
    "absolute": [(member("/tmp/evil.txt"), b"x")],
    "beside": [(member("evil.txt"), b"x")],
    "symbolic link": [(member("LibriSpeech/dev-clean/link", tarfile.SYMTYPE, "/tmp"), b"")],
    "through a link": [
        (member("LibriSpeech/dev-clean/link", tarfile.SYMTYPE, "../../.."), b""),
        (member("LibriSpeech/dev-clean/link/evil.txt"), b"x"),
    ],
    "hard link": [(member("LibriSpeech/dev-clean/link", tarfile.LNKTYPE, "/etc/passwd"), b"")],
    "device": [(member("LibriSpeech/dev-clean/null", tarfile.CHRTYPE), b"")],
    "pipe": [(member("LibriSpeech/dev-clean/pipe", tarfile.FIFOTYPE), b"")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_unpacked_outside(name: str, publish, server: Server, tmp_path: Path) -> None:
    publish(tar_gz([GOOD, *HOSTILE[name]]))
    root = tmp_path / "a" / "b" / "root"
    with pytest.raises(DataError, match="expected only files and folders below LibriSpeech/"):
        download_subset("dev-clean", root, server.url)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["dev-clean.tar.gz.part"]
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    assert not Path("/tmp/evil.txt").exists()


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (b"no archive", "not a tar.gz archive"),
        (tar_gz([GOOD])[:-30], "not a tar.gz archive"),
        (tar_gz([(member("LibriSpeech/dev-other/1/2/1-2.trans.txt"), b"")]), "expected a folder LibriSpeech/dev-clean"),
        (tar_gz([(member("LibriSpeech/dev-clean"), b"a file")]), "expected a folder LibriSpeech/dev-clean"),
    ],
)
def test_an_archive_of_something_else_leaves_nothing(
    archive: bytes, message: str, publish, server: Server, tmp_path: Path
) -> None:
    publish(archive)
    with pytest.raises(DataError, match=message):
        download_subset("dev-clean", tmp_path, server.url)
    assert [path.name for path in tmp_path.iterdir()] == ["dev-clean.tar.gz.part"]


def test_what_a_killed_run_left_unpacked_is_cleared(published: Path, server: Server, tmp_path: Path) -> None:
    stale = tmp_path / ".dev-clean.unpacking" / "LibriSpeech" / "dev-clean" / "84" / "121" / "stale.flac"
    stale.parent.mkdir(parents=True)
    stale.touch()
    download_subset("dev-clean", tmp_path, server.url)
    assert contents(tmp_path / "dev-clean") == contents(published)
    assert not (tmp_path / ".dev-clean.unpacking").exists()


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_of_the_server_is_a_sentence(status: int, server: Server, tmp_path: Path) -> None:
    server.status = status
    with pytest.raises(OSError, match=rf"{server.url}/dev-clean\.tar\.gz: the server answers {status} "):
        download_subset("dev-clean", tmp_path, server.url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://", "nonsense", "http://no.such.host.invalid"])
def test_no_connection_is_a_sentence(url: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"no connection \(.+\); run the same command again"):
        download_subset("dev-clean", tmp_path, url)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_sentence_that_names_the_file(published: Path, server: Server, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "dev-clean.tar.gz.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        download_subset("dev-clean", tmp_path, server.url)
    assert caught.value.filename == str(tmp_path / "dev-clean.tar.gz.part")


def test_an_unknown_subset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected one of the subsets dev-clean, .*, got 'train'"):
        download_subset("train", tmp_path)


def test_progress_covers_download_check_and_unpacking(published: Path, server: Server, tmp_path: Path) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}

    @contextmanager
    def bars(description: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        assert unit == "B"
        yield lambda done, total: seen.setdefault(description, []).append((done, total))

    download_subset("dev-clean", tmp_path, server.url, bars)
    size = len(server.archive)
    assert list(seen) == ["dev-clean: download", "dev-clean: check", "dev-clean: unpack"]
    assert all(moves[-1] == (size, size) for moves in seen.values())

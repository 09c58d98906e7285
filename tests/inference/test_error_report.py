"""The folder of an error report: JSON, recordings, and a page that holds its texts whatever they are."""

import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from crnn_asr.config import FeatureConfig, TextConfig
from crnn_asr.corpus.manifest import Problem, Utterance
from crnn_asr.inference import error_report
from crnn_asr.inference.error_report import ErrorReport, write_report
from crnn_asr.inference.evaluation import System
from crnn_asr.inference.robustness import Robustness, Surroundings, evaluate_robustness
from crnn_asr.text.alphabet import Alphabet

VOID = {"meta", "img", "br", "link", "input"}
EVIL = "<script>alert('1')</script>&amp;\"x"


class Page(HTMLParser):
    """What a browser sees: every element with its attributes and its text, nesting checked."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def text_of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attributes.get(name) for found, attributes in self.elements if found == tag]


def evaluate(folder: Path, texts: Sequence[tuple[str, str, str]], surroundings: Surroundings) -> Robustness:
    """Results of utterances (id, said, heard), each a second longer than the one before."""
    alphabet = Alphabet.from_texts(text for row in texts for text in row[1:])
    utterances = []
    for number, (name, said, _) in enumerate(texts):
        soundfile.write(folder / f"{number}.wav", np.full(16_000 * (number + 1), 0.25), 16_000)
        utterances.append(Utterance(folder / f"{number}.wav", 1.0, said, id=name))
    answers = iter([heard for *_, heard in texts for _ in range(1 + len(surroundings.snrs_db))])

    def model(features: np.ndarray) -> np.ndarray:
        labels = alphabet.encode(next(answers))
        ids = [i for label in labels for i in (label, alphabet.blank_id)] or [alphabet.blank_id]
        return np.eye(alphabet.num_symbols, dtype=np.float32)[ids]

    keep = TextConfig(casing="keep", language="az")
    return evaluate_robustness(surroundings, System(model, FeatureConfig(), keep, alphabet), utterances)


def make(folder: Path, texts: Sequence[tuple[str, str, str]], snrs_db: tuple[float, ...] = ()) -> ErrorReport:
    tried = evaluate(folder, texts, Surroundings(snrs_db))
    robustness = tried if snrs_db else None
    return ErrorReport("run/model.tflite", EVIL, "az", tried.clean, robustness, (Problem(EVIL, "gone"),))


TEXTS = [
    ("right", "bir iki", "bir iki"),
    ("added", "iki", "iki bir"),
    ("missed", "üç dörd beş", "üç"),
    ("other", "bir", "biş"),
    ("long and right", "bir iki üç", "bir iki üç"),
]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def read(folder: Path) -> tuple[Page, dict]:
    html = (folder / "index.html").read_text(encoding="utf-8")
    return Page(html), json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_json_names_the_worst_the_median_and_the_best(tmp_path, out) -> None:
    report = make(tmp_path, TEXTS)
    write_report(report, out, 16_000)
    values = read(out)[1]
    assert values["worst"] == ["missed", "added", "other"]
    assert values["median"] == ["missed", "added", "other", "right", "long and right"]
    assert values["best"][0] == "long and right"
    assert values["wer"] == pytest.approx(100 * 4 / 10) and values["problems"] == [{"where": EVIL, "reason": "gone"}]
    words = values["confusions"]["words"]
    assert words["substitutions"] == [{"reference": "bir", "hypothesis": "biş", "count": 1, "said": 3}]
    assert [row["reference"] for row in words["deletions"]] == ["beş", "dörd"]
    assert {"reference": "r", "hypothesis": "ş", "count": 1, "said": 4} in values["confusions"]["characters"][
        "substitutions"
    ]
    assert "robustness" not in values


def test_the_median_is_the_middle(tmp_path) -> None:
    texts = [(f"u{number}", "a " * 30, "a " * (30 - number)) for number in range(11)]
    assert [item.id for item in make(tmp_path, texts).median] == ["u7", "u6", "u5", "u4", "u3"]


def test_the_page_marks_every_error_and_is_whole_without_anything_from_elsewhere(tmp_path, out) -> None:
    write_report(make(tmp_path, TEXTS), out, 16_000)
    page, _ = read(out)
    assert page.text_of("del")[:4] == ["dörd", "beş", "bir", "dörd"]  # of the worst, then of the median
    assert page.text_of("ins")[:2] == ["bir", "biş"]
    marks = page.text_of("b")
    assert marks[:3] == ["S", "D", "I"] and marks[3:7] == ["D", "D", "I", "S"]
    assert {"words"} <= set(page.attributes("p", "class"))
    assert all(attributes["lang"] == "az" and attributes["dir"] == "auto" for attributes in words_of(page))
    addresses = [value for tag, values in page.elements for name, value in values.items() if name in ("src", "href")]
    assert addresses == [f"audio/worst-0{number}.wav" for number in (1, 2, 3)]
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.elements}
    assert "url(" not in "".join(page.text_of("style")) and "@import" not in "".join(page.text_of("style"))


def words_of(page: Page) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in page.elements if tag == "p" and attributes.get("class") == "words"]


def test_recordings_are_what_the_model_heard(tmp_path, out) -> None:
    write_report(make(tmp_path, TEXTS), out, 16_000)
    for number, seconds in ((1, 3), (2, 2), (3, 4)):
        samples, rate_hz = soundfile.read(out / f"audio/worst-0{number}.wav")
        assert rate_hz == 16_000 and len(samples) == 16_000 * seconds and np.all(samples == 0.25)


def test_names_and_words_of_any_kind_stay_text(tmp_path, out) -> None:
    """Normalizing takes signs out of transcripts, so the evil ones stand in names, and text keeps its own script."""
    write_report(
        make(tmp_path, [(EVIL, "שלום עולם", "שלום"), ("ok", "مرحبا", "مرحبا"), ("zh", "你好", "你")]), out, 16_000
    )
    page, values = read(out)
    assert EVIL in page.text_of("bdi") and any(EVIL in text for text in page.text_of("title"))
    assert {"script", "x"}.isdisjoint(tag for tag, _ in page.elements)
    assert page.text_of("del")[:3] == ["你好", "עולם", "你好"] and values["worst"] == ["zh", EVIL]


def test_a_recognizer_without_errors_and_one_that_hears_nothing(tmp_path, out) -> None:
    write_report(make(tmp_path, [("a", "bir", "bir")]), out, 16_000)
    assert "None has an error." in read(out)[0].text_of("p")
    write_report(make(tmp_path, [("a", "bir", ""), ("b", "", "")]), out, 16_000)
    page, _ = read(out)
    assert "Nothing said, nothing heard." in page.text_of("p") and page.text_of("del")[0] == "bir"


def test_recordings_beyond_the_limit_are_left_out_and_what_was_there_goes(tmp_path, out, monkeypatch) -> None:
    write_report(make(tmp_path, TEXTS, (10.0,)), out, 16_000)
    assert (out / "robustness.png").exists()
    monkeypatch.setattr(error_report, "_AUDIO_BYTES", 2 * 16_000 * 5)
    write_report(make(tmp_path, TEXTS), out, 16_000)  # 3 s and 2 s fit, 4 s do not
    page, _ = read(out)
    assert page.attributes("audio", "src") == ["audio/worst-01.wav", "audio/worst-02.wav"]
    assert "Too long to be copied here." in page.text_of("p")
    assert sorted(path.name for path in out.rglob("*")) == [
        "audio",
        "index.html",
        "report.json",
        "worst-01.wav",
        "worst-02.wav",
    ]


def test_robustness_is_in_both(tmp_path, out) -> None:
    write_report(make(tmp_path, TEXTS, (10.0, -5.0)), out, 16_000)
    page, values = read(out)
    assert [row["snr_db"] for row in values["robustness"]["conditions"]] == [10.0, -5.0]
    assert page.attributes("img", "src") == ["robustness.png"] and {"10 dB", "-5 dB"} <= set(page.text_of("td"))
    assert (out / "robustness.png").read_bytes()[:4] == b"\x89PNG"


def test_references_without_a_word_have_no_rate_but_insertions(tmp_path, out) -> None:
    write_report(make(tmp_path, [("a", "", "bir iki"), ("b", "", "")], (10.0,)), out, 16_000)
    page, values = read(out)
    assert values["robustness"]["conditions"][0]["words"]["insertions"] == 2
    assert values["robustness"]["conditions"][0]["wer_ratio"] is None
    assert page.attributes("img", "src") == [] and page.text_of("ins")[:2] == ["bir", "iki"]

"""Find alpha, beta and beam for a language model on a manifest, and keep them in the model file.

From then on --lm with this language model takes them. Use a manifest that nothing is reported on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.console import FAILED, OK, complain, note, progress_bar, run
from crnn_asr.corpus.manifest import read_manifest
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.inference.tune import errors_by_setting, keep, listen
from crnn_asr.language.decoding import check_writable
from crnn_asr.language.histories import LanguageModel
from crnn_asr.language.tuning import Tuning, search, sha256_of
from crnn_asr.text.metrics import Scores


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model file, .tflite or .onnx")
    parser.add_argument("manifest", type=Path, help="JSONL manifest with the transcripts")
    parser.add_argument("--lm", type=Path, required=True, metavar="FILE", help="language model, an ARPA file")
    return parser.parse_args(argv)


def row(setting: str, scores: Scores) -> str:
    return f"{setting:>20}{scores.words.percent:8.2f}{scores.characters.percent:8.2f}"


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    utterances, problems = read_manifest(args.manifest)
    recognizer, lm = Recognizer(args.model), LanguageModel(args.lm)
    for remark in check_writable(lm.vocabulary, recognizer.alphabet, args.lm):
        note(remark)
    with progress_bar("listening", "utterance") as move:
        greedy, logits = listen(recognizer, utterances, move)
    print(f"{'alpha':>6}{'beta':>7}{'beam':>7}{'WER %':>8}{'CER %':>8}")
    print(row("greedy", greedy.scores))
    trials = []
    for trial in search(errors_by_setting(recognizer, lm, greedy, logits)):
        trials.append(trial)
        print(row(f"{trial.alpha:g}{trial.beta:7g}{trial.beam:7}", trial.scores), flush=True)
    best = min(trials, key=lambda trial: trial.rank)
    found = Tuning(
        sha256_of(args.lm),
        args.lm.name,
        best.alpha,
        best.beta,
        best.beam,
        best.scores.words.percent,
        best.scores.characters.percent,
        greedy.scores.words.percent,
        len(greedy.utterances),
    )
    keep(args.model, found)
    print(row("best", best.scores))
    print(f"{args.model}: alpha {best.alpha:g}, beta {best.beta:g}, beam {best.beam} for {args.lm.name}")
    for problem in (*problems, *greedy.problems):
        complain(problem)
    return FAILED if problems or greedy.problems else OK


if __name__ == "__main__":
    run(main)

"""Score a model on a manifest: corpus WER and CER, sentence errors, real-time factor, the worst utterances."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.console import FAILED, OK, complain, non_negative_int, progress_bar, run
from crnn_asr.corpus.manifest import read_manifest
from crnn_asr.files import write_text
from crnn_asr.inference.evaluation import Evaluation, evaluate
from crnn_asr.native import load_tensorflow
from crnn_asr.text.alphabet import Alphabet


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a run directory, a .keras or a .tflite file")
    parser.add_argument("manifest", type=Path, help="JSONL manifest with the transcripts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there (default: off)")
    parser.add_argument(
        "--worst", type=non_negative_int, default=5, metavar="N", help="utterances to show; 0 is off (default: 5)"
    )
    return parser.parse_args(argv)


def open_any(path: Path):  # type: ignore[no-untyped-def]
    """(feature config, text config, alphabet, model) of any file or folder that we write; TensorFlow only if needed."""
    if path.is_file() and path.suffix != ".keras":
        from crnn_asr.inference.recognizer import Recognizer

        recognizer = Recognizer(path)
        return recognizer.metadata.features, recognizer.metadata.text, recognizer.alphabet, recognizer.logits
    load_tensorflow()
    from crnn_asr.training.transcriber import open_model

    config, model = open_model(path)
    return config.features, config.text, Alphabet(config.alphabet), model


def show(result: Evaluation, worst: int) -> None:
    scores = result.scores
    for item in result.worst(worst):
        print(f"{item.id}: {item.words.errors} wrong of {item.words.units}")
        print(f"  said  {item.reference}")
        print(f"  heard {item.hypothesis}")
    for name, counts in (("WER", scores.words), ("CER", scores.characters)):
        print(
            f"{name} {counts.percent:6.2f} %   {counts.substitutions} substitutions, {counts.insertions} insertions, "
            f"{counts.deletions} deletions in {counts.units}"
        )
    share = 100 * scores.sentence_errors / scores.utterances
    print(f"SER {share:6.2f} %   {scores.sentence_errors} of {scores.utterances} utterances with an error")
    print(
        f"RTF {result.real_time_factor:.5f}   {result.seconds:.1f} s for {result.duration_s:.0f} s of audio, "
        f"{1 / result.real_time_factor:.0f} times faster than real time"
    )


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    utterances, bad_lines = read_manifest(args.manifest)
    features, text, alphabet, model = open_any(args.model)
    with progress_bar("evaluate", "utterance") as move:
        result = evaluate(model, features, text, alphabet, utterances, move)
    problems = [*bad_lines, *result.problems]
    for problem in problems:
        complain(problem)
    show(result, args.worst)
    if args.json:
        write_text(args.json, json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return FAILED if problems else OK


if __name__ == "__main__":
    run(main)

"""Transcribe recordings (wav, FLAC, Ogg, MP3, SPHERE; any rate, any channels) with a .tflite model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.audio.read import audio_info
from crnn_asr.console import FAILED, OK, complain, describe, non_negative_int, note, positive_int, run
from crnn_asr.inference.default_model import PATTERN, SHIPPED, find_model
from crnn_asr.inference.formats import FORMATS, SUBTITLES, header, render
from crnn_asr.inference.recognizer import Recognizer
from crnn_asr.language.options import add_decoding_options, decoding_from

USUAL_CHANNELS, USUAL_RATE_HZ = 2, 48_000  # beyond these, averaging or resampling is worth a remark


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", nargs="+", help="recordings, told apart by content and not by name")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help=f"model file (default: the newest {PATTERN} that you made; where there is none, the one that comes with "
        "the project, for English numbers, spelled words and short commands)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="text (with several files: name, tab, text), json (an object a line), srt or vtt (subtitles of one file), "
        "tsv (file, start and end in seconds, text; a line for each subtitle) (default: text)",
    )
    parser.add_argument(
        "--channel", type=channel, default="mean", metavar="N", help="channel to hear, from 0 (default: mean of all)"
    )
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N", help="of the network (default: 1)")
    add_decoding_options(parser)
    args = parser.parse_args(argv)
    args.decoding = decoding_from(args, parser)
    if args.format in SUBTITLES and len(args.audio) > 1:
        parser.error(f"--format {args.format} makes the subtitles of one recording, got {len(args.audio)} recordings")
    return args


def channel(text: str) -> int | str:
    return text if text == "mean" else non_negative_int(text)


def remark_on(file: str, chosen: int | str) -> None:
    """Say what is unusual in a recording, and what is made of it."""
    info = audio_info(file)
    if info.num_channels > USUAL_CHANNELS and chosen == "mean":
        note(f"{file}: the mean of {info.num_channels} channels is heard; choose one with --channel")
    if info.sample_rate_hz > USUAL_RATE_HZ:
        note(f"{file}: resampled from {info.sample_rate_hz} Hz")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    model = args.model or find_model()
    if not args.model and model == SHIPPED:
        note("no model named and none made: the one in models/an4 listens, for numbers, spelled words, short commands")
    recognizer = Recognizer(model, args.threads, args.decoding)
    for remark in recognizer.notes:
        note(remark)
    print(header(args.format), end="")
    code = OK
    for file in args.audio:
        try:
            remark_on(file, args.channel)
            transcript = recognizer.transcribe(file, args.channel)
        except (OSError, ValueError) as error:
            text = describe(error)
            complain(text if file in text else f"{file}: {text}")
            code = FAILED
        else:
            print(render(transcript, file, args.format, name_files=len(args.audio) > 1), end="", flush=True)
    return code


if __name__ == "__main__":
    run(main)

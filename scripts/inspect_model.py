"""Show what is inside a file of ours: description, sizes, weights and work by layer, operations.

For a model file, a run directory, a model.keras or a checkpoint.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from crnn_asr.console import OK, run
from crnn_asr.inference.inspection import Inspection, inspect_model_file, render
from crnn_asr.native import load_tensorflow


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="model file, run directory, model.keras or checkpoint")
    parser.add_argument("--json", action="store_true", help="print everything as a JSON object (default: as tables)")
    return parser.parse_args(argv)


def inspect_any(path: Path) -> Inspection:
    """Tell files apart; TensorFlow only if needed."""
    if not path.is_dir() and path.suffix not in (".keras", ".npz"):
        return inspect_model_file(path)
    load_tensorflow()
    from crnn_asr.export import inspect_run

    return inspect_run.inspect_any(path)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    found = inspect_any(args.file)
    print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if args.json else render(found))
    return OK


if __name__ == "__main__":
    run(main)

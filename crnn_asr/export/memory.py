"""The most memory that transcribing a minute takes, in a process that does nothing else.

This module is that process too, `python -m crnn_asr.export.memory MODEL`; so it imports no TensorFlow.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from crnn_asr.errors import ModelError
from crnn_asr.inference.recognizer import Recognizer

SECONDS = 60
_STATUS = Path("/proc/self/status")  # Linux; `getrusage` would not do: it begins with what the starting process held
_ROOT = Path(__file__).resolve().parents[2]


def peak_memory_mb(path: Path) -> float | None:
    """Peak resident memory in MB (10⁶ bytes) of opening a model file and transcribing a minute of noise.

    None where the system does not tell.

    Raises:
        ModelError: the process failed.
    """
    if not _STATUS.exists():
        return None
    command = [sys.executable, "-m", "crnn_asr.export.memory", str(path.resolve())]
    process = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    if process.returncode:
        last_words = "\n".join(process.stderr.strip().splitlines()[-5:])
        raise ModelError(
            f"transcribing a minute with {path.name} failed with exit code {process.returncode}:\n{last_words}"
        )
    return int(process.stdout) * 1024 / 1e6


def main(path: Path) -> None:
    """The process: transcribe, and print the peak in KiB."""
    recognizer = Recognizer(path)
    num_samples = SECONDS * recognizer.metadata.features.sample_rate_hz
    recognizer.transcribe(0.1 * np.random.default_rng(0).standard_normal(num_samples, np.float32))
    print(_STATUS.read_text().split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Which worker this process is, from TF_CONFIG, the environment variable that TensorFlow reads. Needs no TensorFlow."""

import json
import os

from crnn_asr.errors import DataError


def worker() -> tuple[int, int]:
    """Number of this process among the workers, and how many there are; (0, 1) without TF_CONFIG.

    Number 0 is the chief: it writes the run directory and evaluates.

    Raises:
        DataError: TF_CONFIG is not what TensorFlow expects.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0, 1
    try:
        config = json.loads(text)
        cluster, kind, index = config["cluster"], config["task"]["type"], int(config["task"]["index"])
        addresses = [(job, i) for job in ("chief", "worker") for i in range(len(cluster.get(job, [])))]
        return addresses.index((kind, index)), len(addresses)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            'TF_CONFIG: expected {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}, '
            f"this process among the workers; got {text}; see docs/scale.md"
        ) from error

"""In which type the large products of a training step are fastest on this machine."""

import os
import re
from pathlib import Path

import tensorflow as tf

CPU_INFO = Path("/proc/cpuinfo")


def fastest_precision() -> str:
    """`bfloat16` where the hardware multiplies it faster than float32, else `float32`.

    That is a GPU of compute capability 8 and more (not run where this was written), or a CPU with AVX-512 BF16 or AMX
    that oneDNN is allowed to use. Where the system does not say what its CPU can (outside Linux), it is `float32`.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capabilities = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0,)) for gpu in gpus]
        return "bfloat16" if min(capabilities)[0] >= 8 else "float32"
    flags = set(re.findall(r"avx512_bf16|amx_bf16", CPU_INFO.read_text())) if CPU_INFO.is_file() else set()
    return "bfloat16" if flags and os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0" else "float32"

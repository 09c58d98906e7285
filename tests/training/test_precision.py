"""The choice of a precision by what the hardware says of itself."""

import pytest
import tensorflow as tf

from crnn_asr.training import precision


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    """Say what the CPU's flags are; None is a system that does not tell."""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)

    def has(flags: str | None) -> None:
        file = tmp_path / "cpuinfo"
        file.unlink(missing_ok=True)
        if flags is not None:
            file.write_text(f"model name\t: a CPU\nflags\t\t: fpu {flags} sse2\n")
        monkeypatch.setattr(precision, "CPU_INFO", file)

    return has


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("avx512f avx512_bf16", "bfloat16"), ("amx_bf16", "bfloat16"), ("avx512f avx2", "float32"), (None, "float32")],
)
def test_a_cpu_gets_bfloat16_where_it_multiplies_it(cpu, flags, expected):
    cpu(flags)
    assert precision.fastest_precision() == expected


def test_not_where_onednn_is_switched_off(cpu, monkeypatch):
    cpu("avx512_bf16")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert precision.fastest_precision() == "float32"


@pytest.mark.parametrize(("capability", "expected"), [((8, 0), "bfloat16"), ((7, 5), "float32")])
def test_a_gpu_by_its_compute_capability(cpu, monkeypatch, capability, expected):
    cpu("avx512_bf16")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert precision.fastest_precision() == expected

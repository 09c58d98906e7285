"""The proof that a converted model's products are integer: read off its operations."""

from collections import Counter
from collections.abc import Sequence

from crnn_asr.config import ModelConfig
from crnn_asr.errors import ModelError
from crnn_asr.inference.flatbuffer import Operation, encodings, operations

PRODUCTS = ("CONV_2D", "FULLY_CONNECTED")
FUSED = "UNIDIRECTIONAL_SEQUENCE_LSTM"
OTHER_PRODUCTS = ("BATCH_MATMUL", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", FUSED)


def num_products(config: ModelConfig) -> int:
    """Convolutions and matrix products that the exported graph is made of: in each LSTM the input's and a recurrent
    one for each direction, before them the projection, behind them the output."""
    return len(config.conv_filters) + 1 + 3 * config.lstm_layers + 1


def check_int8(flatbuffer: bytes, config: ModelConfig) -> None:
    """Make sure that every product is static INT8: input, weights and output. The very last is float where the
    network's output is.

    Raises:
        ModelError: one stayed float, or is missing; the message counts them.
    """
    _, output = encodings(flatbuffer)
    _check_products(operations(flatbuffer), PRODUCTS, num_products(config), output.type.upper())


def check_integer(flatbuffer: bytes, config: ModelConfig) -> None:
    """Make sure that nothing is float but a QUANTIZE at the very beginning and a DEQUANTIZE at the very end.

    Raises:
        ModelError: something is, or a product is missing; the message counts them.
    """
    found = operations(flatbuffer)
    _check_products(found, (*PRODUCTS, FUSED), len(config.conv_filters) + 1 + 2 * config.lstm_layers + 1)
    ends = [("QUANTIZE", ("FLOAT32",), ("INT8",)), ("DEQUANTIZE", ("INT8",), ("FLOAT32",))]
    float_ops = Counter(op.name for op in found if any("FLOAT" in kind for kind in op.inputs + op.outputs))
    float_ops -= Counter(op.name for op in (found[0], found[-1]) if (op.name, op.inputs, op.outputs) in ends)
    if float_ops:
        raise ModelError(
            f"expected integer operations from input to output, got {dict(float_ops)} in float; the converter fell "
            "back, which is a fault of this program or of another version of TensorFlow"
        )


def _check_products(found: Sequence[Operation], allowed: Sequence[str], expected: int, last: str = "INT8") -> None:
    """So many products, all of them INT8, but for the last outside of loops, which is of the type `last`."""
    products = [op for op in found if op.name in PRODUCTS + OTHER_PRODUCTS]
    final = next((op for op in reversed(products) if not op.in_loop), None)
    types = [last if op is final else "INT8" for op in products]
    wrong = [
        op for op, kind in zip(products, types) if not (op.name in allowed and {*op.inputs[:2], *op.outputs} == {kind})
    ]
    if wrong or len(products) != expected:
        kinds = Counter(f"{op.name} {op.inputs[0]} x {op.inputs[1]} -> {op.outputs[0]}" for op in wrong)
        raise ModelError(
            f"expected {expected} products in INT8{'' if last == 'INT8' else ', the last in float'}, got "
            f"{len(products) - len(wrong)} and {dict(kinds) or 'no others'}; the converter left ranges out, which is a "
            "fault of this program or of another version of TensorFlow"
        )

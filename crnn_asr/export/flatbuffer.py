"""What a converted model really holds: every operation of every subgraph, and the proof that its products are INT8."""

from collections import Counter
from dataclasses import dataclass

from crnn_asr.config import ModelConfig
from crnn_asr.errors import ModelError

PRODUCTS = ("CONV_2D", "FULLY_CONNECTED")
OTHER_PRODUCTS = ("BATCH_MATMUL", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM")


@dataclass(frozen=True)
class Operation:
    """One operation: its builtin name (CUSTOM for others) and the types of what goes in and comes out."""

    name: str
    inputs: tuple[str, ...]  # "" where an optional one is left out
    outputs: tuple[str, ...]


def operations(flatbuffer: bytes) -> list[Operation]:
    """All operations of a `.tflite`, those in the bodies of loops too."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    types = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    found = []
    for graph in model.subgraphs:
        kinds = [types[tensor.type] for tensor in graph.tensors]
        for op in graph.operators:
            inputs, outputs = (
                tuple(kinds[i] if i >= 0 else "" for i in indices) for indices in (op.inputs, op.outputs)
            )
            found.append(Operation(codes[op.opcodeIndex], inputs, outputs))
    return found


def num_products(config: ModelConfig) -> int:
    """Convolutions and matrix products that the exported graph is made of: in each LSTM the input's and a recurrent
    one for each direction, before them the projection, behind them the output."""
    return len(config.conv_filters) + 1 + 3 * config.lstm_layers + 1


def check_int8(flatbuffer: bytes, config: ModelConfig) -> None:
    """Make sure that every product is static INT8: input, weights and output.

    Raises:
        ModelError: one stayed float, or is missing; the message counts them.
    """
    found = [op for op in operations(flatbuffer) if op.name in PRODUCTS + OTHER_PRODUCTS]
    wrong = [op for op in found if not (op.name in PRODUCTS and {*op.inputs[:2], *op.outputs} == {"INT8"})]
    if wrong or len(found) != num_products(config):
        kinds = Counter(f"{op.name} {op.inputs[0]} x {op.inputs[1]} -> {op.outputs[0]}" for op in wrong)
        raise ModelError(
            f"expected {num_products(config)} products in INT8, got {len(found) - len(wrong)} and "
            f"{dict(kinds) or 'no others'}; the converter left ranges out, which is a fault of this program or of "
            "another version of TensorFlow"
        )

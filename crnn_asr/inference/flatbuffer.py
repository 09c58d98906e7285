"""What a `.tflite` holds: every operation in the order in which it runs, with the constants that it reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from crnn_asr.inference.model_file import Encoding


@dataclass(frozen=True)
class Constant:
    """Values that are fixed in the file. Two with the same `buffer` are the same bytes."""

    buffer: int
    type: str
    num_values: int
    num_bytes: int


@dataclass(frozen=True)
class Operation:
    """One operation: its builtin name (CUSTOM for others), the types of what goes in and comes out, its constants."""

    name: str
    inputs: tuple[str, ...]  # "" where an optional one is left out
    outputs: tuple[str, ...]
    constants: tuple[Constant | None, ...]  # of each input, as it is stored; None where it is computed
    in_loop: bool


Values = dict[int, Constant]  # by the number of the tensor in its subgraph


def operations(flatbuffer: bytes) -> list[Operation]:
    """All operations of a `.tflite`, each once; those in the bodies of loops stand behind the loop."""
    return list(_Model(flatbuffer).walk(0, {}))


def encodings(flatbuffer: bytes) -> tuple[Encoding, Encoding]:
    """How the network's input and its output hold numbers."""
    model = _Model(flatbuffer)
    main = model.subgraphs[0]
    first, last = (model.encoding(main.tensors[indices[0]]) for indices in (main.inputs, main.outputs))
    return first, last


class _Model:
    def __init__(self, flatbuffer: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        model: Any = schema.ModelT.InitFromPackedBuf(flatbuffer)
        names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        self.types = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
        self.codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
        self.subgraphs = model.subgraphs
        self.buffers = model.buffers

    def encoding(self, tensor: Any) -> Encoding:
        kind = self.types[tensor.type].lower()
        if kind == "float32":
            return Encoding()
        return Encoding(kind, float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))

    def walk(self, index: int, given: Values, in_loop: bool = False) -> Iterator[Operation]:
        """Operations of a subgraph and of those that it calls; `given` are the constants among its inputs."""
        graph = self.subgraphs[index]
        known = self._stored(graph) | given
        kinds = [self.types[tensor.type] for tensor in graph.tensors]
        for op in graph.operators:
            name = self.codes[op.opcodeIndex]
            constants = tuple(known.get(i) for i in op.inputs)
            inputs, outputs = (tuple(kinds[i] if i >= 0 else "" for i in some) for some in (op.inputs, op.outputs))
            yield Operation(name, inputs, outputs, constants, in_loop)
            if name == "DEQUANTIZE" and constants[0]:  # half precision weights are made single at the first run
                known[op.outputs[0]] = constants[0]
            if name == "WHILE":
                for part in (op.builtinOptions.condSubgraphIndex, op.builtinOptions.bodySubgraphIndex):
                    yield from self.walk(part, self._unchanged(part, constants), in_loop=True)

    def _stored(self, graph: Any) -> Values:
        found = {}
        for i, tensor in enumerate(graph.tensors):
            data = self.buffers[tensor.buffer].data
            if data is not None and len(data):
                size = 1 if tensor.shape is None else prod(int(length) for length in tensor.shape)
                found[i] = Constant(tensor.buffer, self.types[tensor.type], size, len(data))
        return found

    def _unchanged(self, index: int, constants: tuple[Constant | None, ...]) -> Values:
        """Of a loop's constant inputs, those that its body hands on as they are."""
        body = self.subgraphs[index]
        return {
            int(tensor): constant
            for tensor, result, constant in zip(body.inputs, body.outputs, constants)
            if constant and tensor == result
        }

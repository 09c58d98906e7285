"""The description of a model inside an ONNX file: one more entry of its `metadata_props`, the last bytes of the file.

An ONNX file is a protobuf message: fields one after the other, each a number, a kind and a value. A field that may come
several times can be appended, so that the bytes in front of it stay as they were, and a checksum of them can travel in
it. No protobuf library is needed for so little. Source: protobuf.dev, "Encoding"; `onnx.proto`, `ModelProto`.
"""

from collections.abc import Iterator

FIRST_BYTE = b"\x08"  # field 1, a number: the format's version. No field may come before it
_NUMBER, _BYTES = 0, 2  # kinds of value
_METADATA = 14  # of a model; an entry has field 1, the key, and field 2, the value


def append(model: bytes, key: str, value: str) -> bytes:
    """The model with an entry behind it."""
    return model + _field(_METADATA, _field(1, key.encode()) + _field(2, value.encode()))


def find(data: bytes, key: str) -> bytes:
    """The value of an entry.

    Raises:
        KeyError: there is none, or the data are not a whole ONNX file.
    """
    try:
        for number, value in _fields(memoryview(data)):
            if number == _METADATA and bytes((entry := dict(_fields(value)))[1]) == key.encode():
                return bytes(entry[2])
    except (IndexError, ValueError) as error:
        raise KeyError(key) from error
    raise KeyError(key)


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + _varint(number >> 7)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and value of each field; those that hold a number have an empty value."""
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        size, position = _read_varint(data, position)
        if tag & 7 == _NUMBER:
            size = 0
        elif tag & 7 != _BYTES or size > len(data) - position:
            raise ValueError("not a field, or cut short")
        yield tag >> 3, data[position : position + size]
        position += size


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number and the position behind it."""
    number = 0
    for shift in range(0, 70, 7):  # at most ten bytes
        byte = data[position]
        number |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return number, position
    raise ValueError("not a number")

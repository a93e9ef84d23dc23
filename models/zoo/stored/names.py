"""Names that pickles of torch.save import: those of plain tensors and their containers, and what others stand for."""

from __future__ import annotations

#: bytes of an element, by the name of the storage that holds it
ITEM_BYTES = {
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage", "UntypedStorage"), 1),
    **dict.fromkeys(("QInt8Storage", "QUInt8Storage"), 1),
    **dict.fromkeys(("ShortStorage", "HalfStorage", "BFloat16Storage"), 2),
    **dict.fromkeys(("IntStorage", "FloatStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("LongStorage", "DoubleStorage", "ComplexFloatStorage"), 8),
    "ComplexDoubleStorage": 16,
}
#: what plain tensors, and containers of them, are made of
PLAIN = frozenset(
    (
        "collections.OrderedDict",
        "collections.Counter",
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "complex", "bytearray")),
        "_codecs.encode",
        "torch.Size",
        "torch.device",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch._tensor._rebuild_from_type_v2",
        "torch.Tensor",
        "torch.nn.parameter.Parameter",
        "torch.nn.parameter.Buffer",
        "torch.serialization._get_layout",
        *(f"torch.{name}" for name in ITEM_BYTES),
        *(f"torch.storage.{name}" for name in ("TypedStorage", "UntypedStorage")),
        *(f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64", "half", "float", "double")),
        *(f"torch.{name}" for name in ("uint8", "int8", "int16", "int32", "int64", "bool", "complex64", "complex128")),
        *(f"torch.float8_{name}" for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")),
    )
)
#: what has no place here, by what makes it
OTHERS = {
    "collections.defaultdict": "a defaultdict, which torch.load takes for code; save a dict",
    "torch._utils._rebuild_sparse_tensor": "sparse tensors; save them dense, by .to_dense()",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse tensors; save them dense, by .to_dense()",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta tensors, which have no numbers; save real ones",
    "torch._utils._rebuild_qtensor": "quantised tensors; save them as floats, by .dequantize()",
    "torch._utils._rebuild_nested_tensor": "nested tensors, which are no weights",
}

"""A few numbers about each output of a call, so that every timed block can be looked at without moving its arrays.

Standard library and NumPy only: the worker imports it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

MAX_VALUES = 2**16
"""Values of an array that its digest reads, evenly spaced; all of them in smaller arrays."""
GOLDEN = 0.6180339887498949


def digest(outputs: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Of each output: shape, dtype, how many of the values read are NaN or infinite, a checksum and its magnitude.

    Outputs are arrays of numbers, or `storable` raises.

    With x_i the finite values read, i their position, and w_i = frac(i * 0.618...): `checksum` is sum_i w_i x_i and
    `magnitude` sum_i w_i |x_i|, in float64. The weights tell apart arrays that hold the same values in another order.
    Two digests are compared only if one worker made both.
    """
    return {name: _digest(name, np.asarray(array)) for name, array in outputs.items()}


def storable(name: str, array: np.ndarray) -> np.ndarray:
    """The array, in a type that `.npy` files have: bfloat16 and other small types of JAX become float32 without loss.

    Raises:
        TypeError: it holds records or objects.
    """
    if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.isbuiltin == 2:
        return array.astype(np.float32)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"the output {name!r} has dtype {array.dtype}; an output is an array of numbers")
    return array


def _digest(name: str, array: np.ndarray) -> dict[str, Any]:
    stride = -(-array.size // MAX_VALUES) or 1
    read = storable(name, array.reshape(-1)[::stride])
    values = (read.real + GOLDEN * read.imag if np.iscomplexobj(read) else read).astype(np.float64)
    weights = np.modf((1 + np.arange(len(values))) * GOLDEN)[0]
    finite = np.isfinite(values)
    clean = np.where(finite, values, 0.0)
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "values": len(values),
        "nan": int(np.isnan(values).sum()),
        "infinite": int(len(values) - finite.sum() - np.isnan(values).sum()),
        # Not `@`: BLAS would wake threads, which spin for a while and would tax the next contestant's block.
        "checksum": float(np.sum(weights * clean)),
        "magnitude": float(np.sum(weights * np.abs(clean))),
    }

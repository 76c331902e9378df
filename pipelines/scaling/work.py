"""Run as a process: counts the random bits and floating point operations of one program of a system on JAX.

`python -m pipelines.scaling.work FILE`, with FILE naming the checkout, system, model, parameters and data of a cell as
JSON. Prints `{"draws": n, "flops": n}`, counted in the traced program, what is inside of a loop as often as it runs (of
a loop that ends by its values: once). `draws` are evaluations of Threefry-2x32, which give 32 or 64 bits each.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.plan.tree import load_framework, load_module

NOT_ARITHMETIC = {
    *("broadcast_in_dim", "reshape", "transpose", "slice", "dynamic_slice", "dynamic_update_slice", "concatenate"),
    *("gather", "scatter", "squeeze", "convert_element_type", "bitcast_convert_type", "copy", "select_n", "iota"),
    *("pad", "rev", "split", "stop_gradient", "optimization_barrier"),
}


def count(jaxpr: Any) -> tuple[float, float]:
    """(Threefry evaluations, floating point operations) of a jaxpr."""
    draws = flops = 0.0
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        inner = [_open(value) for value in _jaxprs(parameters)]
        if name in ("random_bits", "threefry2x32") or parameters.get("name") == "_threefry":
            draws += _size(equation.outvars[0])
        elif name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            flops += 2 * _size(equation.outvars[0]) * math.prod(shape[axis] for axis in contracted)
        elif inner:
            counts = [count(one) for one in inner]
            times = parameters.get("length", 1) if name == "scan" else 1
            join = max if name == "cond" else sum
            draws += times * join(one[0] for one in counts)
            flops += times * join(one[1] for one in counts)
        elif name not in NOT_ARITHMETIC and _is_float(equation.outvars[0]):
            # A reduction adds up what it reads.
            atoms = equation.invars if name.startswith(("reduce_", "cum")) else equation.outvars
            flops += _size(atoms[0])
    return draws, flops


def main(path: str) -> None:
    """Builds the program that the file describes, traces it, and prints the counts."""
    import jax

    asked = json.loads(Path(path).read_text(encoding="utf-8"))
    framework = load_framework(Path(asked["root"]), asked["framework"])
    framework.start("cpu", asked["dtype"])
    model = Path(asked["model"])
    module = load_module(model, f"studies.{asked['study']}.{model.parent.name}.{asked['framework']}")
    with np.load(asked["data"], allow_pickle=False) as data:
        program = getattr(module, asked["function"])(framework, dict(data), asked["parameters"])
    inputs = program.prepare(asked["seed"])
    draws, flops = count(jax.make_jaxpr(program.run)(inputs).jaxpr)
    print(json.dumps({"draws": draws, "flops": flops}))


def _jaxprs(parameters: dict[str, Any]) -> list[Any]:
    values = [one for value in parameters.values() for one in (value if isinstance(value, tuple | list) else [value])]
    return [value for value in values if hasattr(value, "eqns") or hasattr(value, "jaxpr")]


def _open(value: Any) -> Any:
    return value if hasattr(value, "eqns") and not hasattr(value, "consts") else value.jaxpr


def _size(atom: Any) -> int:
    return math.prod(getattr(atom.aval, "shape", ()))


def _is_float(atom: Any) -> bool:
    dtype = getattr(atom.aval, "dtype", None)
    return dtype is not None and getattr(dtype, "kind", "") == "f"


if __name__ == "__main__":
    main(sys.argv[1])

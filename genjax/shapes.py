"""Shapes in signatures: `Float[Array, "chains steps"]` is an array of floats with two axes, and names for them.

Within one signature a name is one size. `*batch` stands for any number of axes, `#n` for an axis of size n or 1, `...`
for axes that are not compared, and the empty string for a scalar.

To Python and to type checkers the annotation is the array alone. Only the tests check it, at every call: they put
jaxtyping, whose notation this is, in the place of this module (`tests/shapes.py`). GenJAX itself does not need it.
"""

from typing import Annotated as Bool
from typing import Annotated as Float
from typing import Annotated as Int32
from typing import Annotated as Integer
from typing import Annotated as Num

__all__ = ["Bool", "Float", "Int32", "Integer", "Num"]

"""Less work for Python's garbage collector, which took a seventh of the time of tests that trace large programs.

Tracing makes many objects and few cycles. By default Python looks for cycles after some hundred new objects, and each
full search also visits all that JAX, Hydra and the collected tests hold until the end. A test that needs a collection
calls `gc.collect()`, which works as ever.
"""

import gc

import pytest

NEW_OBJECTS = 20_000
"""So many more objects start a search; memory stays the same, since arrays are freed by their reference counts."""


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    gc.collect()
    gc.freeze()  # later searches leave out what exists now
    gc.set_threshold(NEW_OBJECTS, 20, 20)

"""The Python examples of a page: what they are, what they say that they print, and what they print."""

import contextlib
import io
import re
from typing import Any


def python_blocks(page: str) -> list[str]:
    """The Python blocks of a Markdown page, in order."""
    return re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def printed_by_comment(block: str) -> list[str]:
    """What the block says that it prints: the comments behind its print calls."""
    return re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)


def printed(block: str, name: str, namespace: dict[str, Any]) -> list[str]:
    """The lines that the block prints, run in the namespace."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(block, name, "exec"), namespace)
    return output.getvalue().splitlines()

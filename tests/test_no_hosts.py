"""No file names a package index, or a path of the machine on which it was written."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Written with brackets so that these lines don't match themselves.
PATTERNS = {
    "a machine path": re.compile(r"(?:^|[^A-Za-z0-9._<])/(?:w[o]rk|t[m]p|f[a]rm|r[o]ot|h[o]me|U[s]ers|o[p]t)/"),
    "a package index": re.compile(
        r"https?://[^ ]*/simple|(?:extra-)?index-u[r]l|find-l[i]nks|p[y]pi\.org|pythonh[o]sted|w[h]l/cpu", re.IGNORECASE
    ),
}
BINARY = {".png", ".npz", ".pdf", ".gif", ".jpg"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout: there is no list of the files that belong to it")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.suffix not in BINARY and path.is_file()]


def found_in(text: str) -> list[tuple[int, str]]:
    """(line, kind) of everything that must not stand in a file."""
    lines = enumerate(text.splitlines(), 1)
    return [(number, kind) for number, line in lines for kind, pattern in PATTERNS.items() if pattern.search(line)]


def test_no_file_names_a_host_or_a_machine_path():
    paths = tracked()
    assert len(paths) > 20
    found = {str(path.relative_to(ROOT)): found_in(path.read_text(encoding="utf-8")) for path in paths}
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    "parts",
    [
        ("path = '/wo", "rk/main/x'"),
        ("cd /ro", "ot/venv"),
        ("https://example.org/sim", "ple/"),
        ("pip install --index-", "url x"),
        ("from py", "pi.org"),
    ],
)
def test_patterns_find_what_they_should(parts):
    assert len(found_in("fine\n" + "".join(parts))) == 1


def test_patterns_accept_ordinary_text():
    assert (
        found_in("see https://www.apache.org/licenses/LICENSE-2.0\nmodel/root/child\npath/to/work/x\nroot / 'tmp'")
        == []
    )

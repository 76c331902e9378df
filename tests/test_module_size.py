"""No module is longer than 600 lines."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600
FOLDERS = ("genjax", "frameworks", "studies", "pipelines", "tests", "examples", "julia")
# Stays empty: a module that is too long is two modules.
ALLOWED: frozenset[str] = frozenset()


def sources(root: Path) -> list[Path]:
    found = [path for folder in FOLDERS for suffix in ("py", "jl") for path in (root / folder).rglob(f"*.{suffix}")]
    return sorted([*found, root / "run"])


def too_long(paths: list[Path], root: Path) -> dict[str, int]:
    lengths = {str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return {name: length for name, length in lengths.items() if length > LIMIT and name not in ALLOWED}


def test_no_module_is_too_long():
    paths = sources(ROOT)
    assert len(paths) > 20
    assert too_long(paths, ROOT) == {}


def test_a_long_module_is_found(tmp_path):
    (tmp_path / "fits.py").write_text("x = 1\n" * LIMIT)
    (tmp_path / "long.py").write_text("x = 1\n" * (LIMIT + 1))
    assert too_long(sorted(tmp_path.glob("*.py")), tmp_path) == {"long.py": LIMIT + 1}

"""Who may import whom. Imports are read from the source, those inside functions and `import_module("…")` included."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FIRST_PARTY = ("genjax", "frameworks", "studies", "pipelines", "tests")
JAX = ("jax", "jaxlib", "frameworks.jax_base")
TORCH = ("torch", "frameworks.torch_base")
# The system that each framework stands for. A framework that is not listed may import anything but these.
SYSTEMS = {
    "genjax": ("genjax", *JAX),
    "handcoded_jax": JAX,
    # The only other reader of GenJAX: its samplers, not its language.
    "handcoded_same_draws": ("genjax.distributions", "frameworks.handcoded_jax", *JAX),
    "numpyro": ("numpyro", *JAX),
    "blackjax": ("blackjax", *JAX),
    "tfp": ("tensorflow_probability", *JAX),
    "pyro": ("pyro", *TORCH),
    "torch": TORCH,
    "genjl": (),
    "genjl_static": ("frameworks.genjl",),
}
JAX_INTERNALS = ("jax._src", "jax.core", "jax.extend", "jax.interpreters", "jax.api_util", "jaxlib")
SHARED_STUDY_MODULES = (
    "studies.threefry",
    "studies.polynomial",
    "studies.chain_diagnostics",
    "studies.hmc_transitions",
    "studies.standard_normals",
)
PLANNING_ONLY = ("pandas", "hydra", "omegaconf", "matplotlib")
DRAWING = ("matplotlib", "fontTools", "PIL", "studies.figure_style")
PIPELINE_LIBRARIES = (
    *("numpy", "scipy", "pandas", "hydra", "omegaconf", "yaml", "rich", "jinja2", "psutil"),
    *("pydantic", "pydantic_core"),
)


@dataclass(frozen=True)
class Rule:
    """What one file may import beside the standard library: `only` (if None, anything) minus `never`, and `also`."""

    only: tuple[str, ...] | None
    never: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def allows(self, module: str) -> bool:
        if within(module, self.also):
            return True
        if within(module, self.never):
            return False
        return module.partition(".")[0] in sys.stdlib_module_names or self.only is None or within(module, self.only)


def within(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def rule_for(path: Path) -> Rule | None:
    """The rule of a file, from its path relative to the root; None for files that have none (tests)."""
    name = path.stem
    match path.parts:
        case ("genjax", "viz", *_):
            return Rule(("genjax", "jax", "numpy", "matplotlib"), never=JAX_INTERNALS)
        case ("genjax", "pjax", "jax_internals.py"):
            return Rule(("genjax", "jax", "jaxlib", "numpy"))
        case ("genjax", "inference", "arviz.py"):
            return Rule(("genjax", "jax", "numpy", "arviz"), never=JAX_INTERNALS)
        case ("genjax", *_):
            return Rule(("genjax", "jax", "numpy"), never=JAX_INTERNALS)
        case ("frameworks", "__init__.py" | "base.py"):
            return Rule(("numpy",))
        case ("frameworks", "adaptive_base.py"):  # settings that studies make and systems read
            return Rule(())
        case ("frameworks", "jax_base.py"):
            return Rule(("numpy", "jax", "frameworks.base"))
        case ("frameworks", "torch_base.py"):
            return Rule(("numpy", "torch", "frameworks.base"))
        case ("frameworks", _):
            return rule_of_system(name)
        case ("studies", "__init__.py" | "base.py"):
            return Rule(("numpy",))
        case ("studies", _) if f"studies.{name}" in SHARED_STUDY_MODULES:
            return Rule(("numpy", "scipy"))
        case ("studies", "figure_style.py"):
            return Rule(("numpy", "matplotlib"))
        case ("studies", "figure_cores.py"):
            return Rule(("numpy", "matplotlib", "studies.base", "studies.figure_flags", "studies.figure_style"))
        case ("studies", "figure_flags.py"):
            return Rule(("studies.base",))
        case ("studies", _, "programs.py"):  # what the models of all systems share: loaded beside each of them
            return Rule(("numpy", "frameworks.adaptive_base"))
        case ("studies", study, "models", _):
            return rule_of_system(name, f"studies.{study}.programs")
        case ("studies", study, "mutants", _):  # wrong on purpose: the study's model with one change
            return rule_of_mutant(name, study)
        case ("studies", study, "__main__.py"):
            return Rule(("pipelines",))
        case ("studies", _, "flags.py"):
            return Rule(("studies.base",))
        case ("studies", study, _) if name.startswith("export"):
            return Rule(("numpy", "scipy", "studies.base", f"studies.{study}"), never=(f"studies.{study}.models",))
        case ("studies", study, _) if name.startswith("figures"):
            own = f"studies.{study}"
            allowed = (
                "numpy",
                "scipy",
                "matplotlib",
                "studies.base",
                "studies.figure_style",
                "studies.figure_cores",
                "studies.figure_flags",
                own,
            )
            return Rule(allowed, never=(f"{own}.models",))
        case ("studies", study, _):
            own = f"studies.{study}"
            allowed = ("numpy", "scipy", "PIL", "yaml", "studies.base", *SHARED_STUDY_MODULES, own)
            return Rule(allowed, never=(f"{own}.models", f"{own}.figures"))
        case ("pipelines", "bench", "programs", "nuts.py"):  # all sides take turns in one process
            return Rule(("genjax", "jax", "numpy", "numpyro", "blackjax"), never=JAX_INTERNALS)
        case ("pipelines", "bench", "programs", _):  # run in processes of their own, by the Python of any environment
            return Rule(("genjax", "jax", "numpy"), never=JAX_INTERNALS)
        case ("pipelines", "scaling", "work.py"):  # run in a process of its own: traces one program of a study
            return Rule(("jax", "numpy", "pipelines.plan.tree"), never=JAX_INTERNALS)
        case ("pipelines", "install", "lock.py"):  # a tool for those who change versions
            return Rule(("pipelines.install", "packaging"))
        case ("pipelines", "install", _):  # runs before anything is installed
            return Rule(("pipelines.install", "pipelines.errors", "pipelines.attributes", "pipelines.atomic"))
        case ("pipelines", "atomic.py"):  # the same
            return Rule(())
        case ("pipelines", *_):
            drawing = (
                ("matplotlib", "fontTools", "PIL", "studies.figure_style") if path.parts[1:-1] == ("output",) else ()
            )
            return Rule((*PIPELINE_LIBRARIES, "pipelines", "frameworks.base", "studies.base", *drawing))
    return None


def rule_of_system(name: str, *shared: str) -> Rule:
    """A framework or a model may import its system, and what `shared` names."""
    common = ("numpy", "frameworks.base", "frameworks.adaptive_base")
    if name in SYSTEMS:
        return Rule((*SYSTEMS[name], *common), also=shared)
    others = {module for modules in SYSTEMS.values() for module in modules} - {
        *JAX,
        "frameworks.torch_base",
        "frameworks.genjl",
        "frameworks.handcoded_jax",
    }
    return Rule(None, never=(*others, *PLANNING_ONLY, "studies", "pipelines"), also=shared)


def rule_of_mutant(name: str, study: str) -> Rule:
    """A mutant may import its system and the model of the same study in that system."""
    return rule_of_system(name, f"studies.{study}.programs", f"studies.{study}.models.{name}")


def imports_of(path: Path, root: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of every import of a file; `from package import module` is resolved to the module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(root).with_suffix("").parts[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(node.lineno, resolved(module, alias.name, root)) for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                found.append((node.lineno, node.args[0].value))
    return sorted(found)


def resolved(module: str, name: str, root: Path) -> str:
    """`from module import name`: the module that this loads."""
    folder = root.joinpath(*module.split("."))
    is_module = (folder / f"{name}.py").exists() or (folder / name).is_dir()
    # Of other packages the files are not here; of JAX, the internals are modules and are imported by name.
    if is_module or module == "jax":
        return f"{module}.{name}"
    return module


def violations(root: Path) -> list[str]:
    """One line for every import under `root` that the rules do not allow."""
    found = []
    for folder in FIRST_PARTY:
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root)
            rule = rule_for(relative)
            if rule is None:
                continue
            found += [
                f"{relative}:{line} imports {module}"
                for line, module in imports_of(path, root)
                if not rule.allows(module)
            ]
    return found


def closure(start: str, root: Path) -> dict[str, str]:
    """Every module that `start` imports, directly or through this project's modules -> who imports it."""
    importers: dict[str, str] = {}
    waiting = [start]
    while waiting:
        current = waiting.pop()
        path = root.joinpath(*current.split("."))
        path = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        if not path.exists():
            continue
        for _, module in imports_of(path, root):
            if module not in importers:
                importers[module] = current
                if within(module, FIRST_PARTY):
                    waiting.append(module)
    return importers


def test_every_file_imports_only_what_its_folder_may():
    assert violations(ROOT) == []


def test_worker_never_reaches_planning_libraries():
    """The timed process must not load pandas, hydra or matplotlib: they cost memory and start threads."""
    assert (ROOT / "pipelines" / "workers" / "worker.py").exists()
    reached = closure("pipelines.workers.worker", ROOT)
    assert "frameworks.base" in reached
    assert {module: by for module, by in reached.items() if within(module, PLANNING_ONLY)} == {}


def test_import_genjax_loads_nothing_heavy():
    heavy = ["matplotlib", "pandas", "tensorflow_probability", "hydra", "numpyro", "torch", "optax"]
    code = f"import sys, genjax; print(*[name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


BAD = {
    "genjax/core/trace.py": ["import pandas", "from frameworks.base import Program", "from jax._src import core"],
    "genjax/inference/vi.py": [
        "def f():\n    import optax",
        "import tensorflow_probability as tfp",
        "import matplotlib",
    ],
    "genjax/pjax/seed.py": ["from jax import core", "from jax.interpreters import ad", "import jax.extend.core"],
    "frameworks/base.py": ["import jax", "import genjax"],
    "frameworks/jax_base.py": ["import numpyro", "from frameworks import numpyro"],
    "frameworks/numpyro.py": ["import genjax", "from frameworks.genjax import GenJAX", "import pipelines.race.timing"],
    "frameworks/torch.py": ["import jax", "import pyro", "from frameworks import jax_base"],
    "studies/gol/models/handcoded_same_draws.py": ["from genjax import gen", "import genjax.core", "import numpyro"],
    "frameworks/newcomer.py": ["import torch", "import pandas", "from studies.faircoin import problem"],
    "studies/base.py": ["import scipy", "import jax"],
    "studies/gol/problem.py": [
        "import jax.numpy as jnp",
        "import matplotlib.pyplot as plt",
        "from studies.gol import figures",
    ],
    "studies/gol/figures.py": [
        "import jax",
        "from pipelines.results.store import Store",
        "import studies.faircoin.problem",
    ],
    "studies/gol/models/numpyro.py": ["import genjax", "from genjax import gen", "import torch"],
    "studies/gol/models/newcomer.py": ["from studies.gol import problem", "from studies.faircoin import programs"],
    "studies/gol/programs.py": ["import jax", "from studies.gol.problem import truth"],
    "studies/gol/models/handcoded_jax.py": ["import genjax", "def f():\n    from studies.gol.models import genjax"],
    "pipelines/plan/plan.py": [
        "import jax",
        "import matplotlib",
        "import_module('numpyro')",
        "from frameworks import genjax",
    ],
    "pipelines/install/pip.py": ["import numpy", "from pipelines.plan.tree import Tree"],
    "pipelines/bench/tracing.py": ["import jax", "from genjax import gen"],
    "pipelines/bench/programs/tracing.py": ["import pipelines.bench.base", "import numpyro"],
    "pipelines/store/records.py": ["import torch", "def f():\n    def g():\n        import genjax"],
}
GOOD = {
    "genjax/pjax/jax_internals.py": ["from jax._src import core", "from jax.interpreters import batching"],
    "genjax/core/trace.py": ["import jax.numpy as jnp", "from . import pytree", "import dataclasses"],
    "genjax/viz/raincloud.py": ["def f():\n    import matplotlib.pyplot as plt"],
    "frameworks/numpyro.py": ["import numpyro.distributions", "from frameworks.jax_base import JaxFramework"],
    "frameworks/pyro.py": ["import pyro, torch", "from frameworks.base import Program"],
    "frameworks/newcomer.py": ["import newcomer_system", "from frameworks.base import Framework", "import jax"],
    "studies/gol/problem.py": ["from scipy import special", "from studies.gol import patterns"],
    "studies/gol/figures.py": ["from studies import figure_style", "from studies.gol.problem import truth"],
    "studies/gol/models/genjax.py": ["from genjax import gen", "from studies.gol import programs"],
    "studies/gol/models/newcomer.py": ["import newcomer_system", "from studies.gol import programs"],
    "studies/gol/programs.py": ["import numpy as np"],
    "studies/gol/__main__.py": ["from pipelines.cli import main"],
    "pipelines/bench/programs/tracing.py": ["import jax", "from genjax import gen"],
    "pipelines/output/drawing.py": ["from matplotlib.figure import Figure", "from studies.base import Rows"],
}


def made_up(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, codes in BAD.items() for code in codes])
def test_rules_find_a_bad_import(tmp_path, name, code):
    made_up(tmp_path, {"studies/gol/figures.py": "", "studies/gol/models/genjax.py": "", "frameworks/genjax.py": ""})
    made_up(tmp_path, {"frameworks/numpyro.py": "", "frameworks/jax_base.py": "", "studies/faircoin/problem.py": ""})
    made_up(tmp_path, {"studies/gol/problem.py": "", "studies/faircoin/programs.py": ""})
    made_up(tmp_path, {name: code})
    found = violations(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(f"{name}:")


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, codes in GOOD.items() for code in codes])
def test_rules_accept_a_good_import(tmp_path, name, code):
    made_up(tmp_path, {"studies/figure_style.py": "", "studies/gol/patterns.py": "", "genjax/core/pytree.py": ""})
    made_up(tmp_path, {"studies/gol/programs.py": ""})
    made_up(tmp_path, {name: code})
    assert violations(tmp_path) == []


def test_closure_goes_through_modules_and_functions(tmp_path):
    made_up(
        tmp_path,
        {
            "pipelines/__init__.py": "",
            "pipelines/workers/worker.py": "from pipelines.plan import cells",
            "pipelines/plan/cells.py": "def f():\n    from ..settings import read",
            "pipelines/settings.py": "import hydra.core",
        },
    )
    assert closure("pipelines.workers.worker", tmp_path)["hydra.core"] == "pipelines.settings"

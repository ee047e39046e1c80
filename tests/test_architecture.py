"""The rooms: who may import whom, where foreign libraries live, and how large a thing may grow."""

import ast
import statistics
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "dvspipe"
FILES = sorted(PACKAGE.rglob("*.py"))

# room -> rooms it may import. Every room may import errors; a room may always import itself.
MAY_IMPORT = {
    "errors": set(),
    "files": set(),
    "settings": set(),
    "cards": {"settings"},
    "recipes": {"settings", "cards"},
    "events": set(),
    "sensor": {"events"},
    "recordings": {"events", "sensor", "files"},
    "simulate": {"events", "sensor", "recordings", "files"},
    "frames": {"events"},
    "snn": set(),
    "encoders": {"snn"},
    "decision": set(),
    "metrics": {"decision"},
    "data": {"recordings", "simulate", "frames", "events", "files"},
    "learn": {"data", "snn", "encoders", "decision", "metrics", "files"},
    "live": {"recordings", "frames", "events"},
    "show": {"events", "metrics", "files"},
    "export": {"snn", "learn"},
    "bench": {
        "recipes",
        "files",
        "events",
        "recordings",
        "simulate",
        "frames",
        "snn",
        "encoders",
        "decision",
        "metrics",
        "data",
        "learn",
    },
    "jobs": {
        "recipes",
        "files",
        "events",
        "sensor",
        "recordings",
        "simulate",
        "frames",
        "snn",
        "encoders",
        "decision",
        "metrics",
        "data",
        "learn",
        "live",
        "show",
        "export",
        "bench",
    },
    "cli": {"jobs", "recipes", "show"},
    "__main__": {"cli"},
    "__init__": set(),
}
HOME_OF = {
    "tonic": {"data", "bench"},
    "torchvision": {"data"},
    "norse": {"snn", "bench"},
    "spikingjelly": {"bench"},
    "snntorch": {"bench"},
    "faery": {"recordings", "bench"},
    "expelliarmus": {"bench"},
    "h5py": {"recordings"},
    "starlette": {"show"},
    "uvicorn": {"show"},
    "websockets": {"show"},
    "av": {"recordings"},
    "lz4": {"recordings"},
    "hdf5plugin": {"recordings"},
    "rich": {"show"},
    "matplotlib": {"show"},
    "jinja2": {"show"},
    "sklearn": {"data"},
    "pydantic": {"settings", "cards", "recipes"},
    "cyclopts": {"cli"},
    "lightning_fabric": {"learn"},
    "nir": {"export"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
}


# What bench compares with: in bench/peers alone.
PEERS = ("tonic", "norse", "spikingjelly", "snntorch", "faery", "expelliarmus")


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Every module imported anywhere in a file, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "dvspipe")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_keep_to_the_table(path):
    here = room(path)
    assert here in MAY_IMPORT, f"a new room '{here}' needs a line in the import table"
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "dvspipe" and rest and rest[0] in MAY_IMPORT:
            assert rest[0] in MAY_IMPORT[here] | {here, "errors"}, f"{here} imports {name}"
        if top in HOME_OF:
            assert here in HOME_OF[top], f"{top} belongs to {sorted(HOME_OF[top])}, not to {here}"
        if top in PEERS and here == "bench":
            assert path.parent.name == "peers", f"bench meets {top} in bench/peers alone"


def test_the_table_would_notice():
    """The check above sees an import that breaks the table (a test that cannot fail is none)."""
    tree = "from dvspipe.jobs import train\nimport norse"
    found = [node for node in ast.walk(ast.parse(tree)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(found) == 2
    assert "jobs" not in MAY_IMPORT["events"]
    assert "events" not in HOME_OF["norse"]


def bodies():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                yield node.end_lineno - first.lineno + 1, f"{path.relative_to(PACKAGE)}:{node.name}"


def test_functions_stay_short():
    sizes = sorted(bodies())
    lengths = [size for size, _ in sizes]
    assert statistics.median(lengths) <= 12
    assert lengths[int(0.9 * len(lengths))] <= 35
    assert lengths[-1] <= 60, sizes[-1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_short_and_say_what_they_are(path):
    text = path.read_text(encoding="utf-8")
    limit = 30 if path.name == "__init__.py" else 300
    assert len(text.splitlines()) <= limit
    assert ast.get_docstring(ast.parse(text)), "a module docstring says what the file holds"


def test_public_names_have_docstrings():
    bare = []
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                bare.append(f"{path.relative_to(PACKAGE)}:{node.name}")
    assert not bare


def test_help_needs_nothing_heavy(tmp_path):
    """`dvspipe --help` may not load torch, numba or the like: it must answer in under half a second."""
    import subprocess

    heavy = ("torch", "numba", "h5py", "tonic", "numpy", "scipy", "matplotlib")
    code = f"import sys; from dvspipe.cli import app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"


def test_no_python_file_among_the_recipes(checkout):
    for kind in ("datasets", "pipelines"):
        assert not list((checkout / kind).rglob("*.py")), f"a .py file in {kind}/ would shadow Hugging Face's package"

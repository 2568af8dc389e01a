"""Rooms stand in layers, and code keeps to the shape that makes it easy to read."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

import skvae

ROOT = Path(skvae.__file__).parent
TREES = {
    path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}

UPWARD = {("estimators/_saves.py", "skvae.files.save")}
"""The one import from a room above: a method of estimators that writes files."""

IMPORTED_WHERE_USED = {
    "matplotlib",
    "pandas",
    "polars",
    "pyarrow",
    "sklearn.decomposition",
    "sklearn.ensemble",
    "sklearn.model_selection",
    "sklearn.neighbors",
    "sklearn.preprocessing",
    "skvae.files.save",
    "zuko.flows",
}
"""What is slow to import, or need not be installed: imported inside functions only."""

every_file = pytest.mark.parametrize("path", TREES, ids=str)


def layer_of_each_room():
    """Return room → layer, from the table of the architecture page."""
    page = ROOT.parent.joinpath("docs", "architecture.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^   \* - (\d+)\n     - (.+)$", page, re.MULTILINE)
    rooms = [(room, int(n)) for n, names in rows for room in re.findall(r"\w+", names)]
    assert len(dict(rooms)) == len(rooms)
    return dict(rooms) | {"__init__": 1 + max(layer for _, layer in rooms)}


LAYERS = layer_of_each_room()


def room_of(path):
    """Return the name of a file, or of the folder directly below the package."""
    return path.parts[0].removesuffix(".py")


def file_of(*names):
    """Return the file that defines a dotted name of the package."""
    for end in range(len(names), 0, -1):
        stem = Path(*names[:end])
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path in TREES:
                return path
    return Path("__init__.py")


def statements(node, inside=None):
    """Yield (statement, whether it stands inside a function) of a tree."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child, bool(inside)
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from statements(child, inside or is_function)


def imports(path):
    """Yield (dotted name, whether inside a function) of all that a file imports."""
    for node, is_inside in statements(TREES[path]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name, is_inside


def own_imports(path):
    """Return the files of the package that a file imports, upward apart."""
    found = (name for name, _ in imports(path) if (path.as_posix(), name) not in UPWARD)
    names = (name.split(".") for name in found)
    return {file_of(*rest) for package, *rest in names if package == "skvae"}


def test_rooms_are_those_of_the_architecture_page():
    assert {room_of(path) for path in TREES} == set(LAYERS)


@every_file
def test_room_imports_only_from_lower_layers(path):
    room = room_of(path)
    others = {room_of(other) for other in own_imports(path)} - {room}
    assert {other for other in others if LAYERS[other] >= LAYERS[room]} == set()


def test_no_files_import_each_other():
    TopologicalSorter({path: own_imports(path) for path in TREES}).prepare()


@every_file
def test_imports_inside_functions_are_those_of_slow_packages(path):
    for name, is_inside in imports(path):
        is_slow = any(f"{name}.".startswith(f"{slow}.") for slow in IMPORTED_WHERE_USED)
        assert is_slow == is_inside, name


@every_file
def test_private_names_of_sklearn_are_known_to_one_file(path):
    private = ("sklearn.utils._", "sklearn.callback")
    if path.name != "_sklearn.py":
        assert not [name for name, _ in imports(path) if name.startswith(private)]


# No file asks which variant it has


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bis (?:not )?_?elbo\b",
        r"\bprior\w* is (?:not )?None\b",
        r"\bgetattr\(\w*\.?_?objective\b",
        # Names in messages, other instances of a class, and other packages' types pass.
        r"\btype\(\w+\)(?!\.__(?:name|module|mro)__|\(|\))",
        r"\b__class__\b",
    ],
)
def test_no_file_asks_which_variant_it_has(pattern):
    found = {
        str(path): re.findall(f".*{pattern}.*", ROOT.joinpath(path).read_text("utf-8"))
        for path in TREES
    }
    assert not {path: lines for path, lines in found.items() if lines}


# Short files and functions, docstrings apart


def height(node):
    return node.end_lineno - node.lineno + 1


def docstring_lines(tree):
    """Return the number of lines of all strings that stand alone."""
    values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    strings = (v for v in values if isinstance(getattr(v, "value", None), str))
    return sum(map(height, strings))


@every_file
def test_file_has_at_most_400_lines(path):
    n_lines = len(ROOT.joinpath(path).read_text(encoding="utf-8").splitlines())
    assert n_lines - docstring_lines(TREES[path]) <= 400


def test_functions_are_short():
    lengths = {
        (str(path), node.lineno, node.name): height(node) - docstring_lines(node)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    ordered = sorted(lengths.values())
    assert median(ordered) <= 6
    assert ordered[int(0.9 * len(ordered))] <= 16
    # A constructor lists as many parameters as there are.
    long = {key for key, n_lines in lengths.items() if n_lines > 40}
    assert {name for *_, name in long} <= {"__init__"}

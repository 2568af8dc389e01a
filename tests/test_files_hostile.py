"""Broken, forged and hostile files: one error, little memory, nothing executed."""

import itertools
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

import skvae
from skvae import ModelFileError, VAETransformer
from skvae.files._container import read, write
from skvae.files._layout import MOST_BYTES

X = load_iris().data[:40]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the path of a small model, which no test changes."""
    path = tmp_path_factory.mktemp("saved") / "m.skvae"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = VAETransformer(
            hidden_layer_sizes=(4,),
            max_iter=2,
            tol=None,
            warm_start=True,
            random_state=0,
        )
        model.fit(X).save(path)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.skvae"


@pytest.fixture
def forge(saved, path):
    """Return a function that saves the model with changes, under a right sum."""

    def forged(change):
        arrays, facts = read(saved)
        change(arrays, facts)
        write(path, arrays, facts)
        return path

    return forged


def refused(path):
    with pytest.raises(ModelFileError):
        skvae.load(path)


def find(node, kind, name=None):
    """Return the first node of a kind, and of a class, within a node."""
    if isinstance(node, dict):
        if node.get("$") == kind and (name is None or node["name"] == name):
            return node
        node = list(node.values())
    if isinstance(node, list):
        found = (find(each, kind, name) for each in node)
        return next((each for each in found if each), None)
    return None


# Damage


def test_file_cut_off_anywhere_is_refused(saved, path):
    data = saved.read_bytes()
    n_header = int.from_bytes(data[:8], "little")
    every = {*range(64), *range(0, len(data), 97), n_header + 8, len(data) - 1}
    for n in sorted(every):
        path.write_bytes(data[:n])
        refused(path)


def test_flipped_bits_are_refused(saved, path):
    data = saved.read_bytes()
    for place in RNG.integers(len(data), size=200):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(RNG.integers(8))
        path.write_bytes(flipped)
        refused(path)


def test_flipped_bits_of_facts_are_refused_or_harmless(forge, saved):
    """With a right sum, a file is refused or gives a model: no other error."""
    text = json.dumps(read(saved)[1])
    n_refused = 0
    for place in RNG.integers(len(text), size=100):
        flipped = bytearray(text.encode())
        flipped[place] ^= 1 << int(RNG.integers(7))
        try:
            facts = json.loads(flipped)
        except ValueError:
            continue

        def change(arrays, own, facts=facts):
            own.clear()
            own.update(facts)

        try:
            skvae.load(forge(change))
        except ModelFileError:
            n_refused += 1
    assert n_refused > 10


# Forged arrays


def rename(arrays, old, new):
    arrays[new] = arrays.pop(old)


WEIGHT = "module/encoder.body.hidden.0.weight"
BIAS = "module/encoder.body.hidden.0.bias"


@pytest.mark.parametrize(
    "change",
    [
        lambda a, f: a.pop(WEIGHT),
        lambda a, f: a.update(more=np.zeros(3)),
        lambda a, f: a.update({"module/more": np.zeros(3)}),
        lambda a, f: a.update({WEIGHT: a[BIAS], BIAS: a[WEIGHT]}),
        lambda a, f: a.update({WEIGHT: a[WEIGHT].astype(np.float64)}),
        lambda a, f: a.update({WEIGHT: np.full_like(a[WEIGHT], np.nan)}),
        lambda a, f: a.update({WEIGHT: np.full_like(a[WEIGHT], np.inf)}),
        lambda a, f: a.update(
            {"module/likelihood.scale": a["module/likelihood.scale"] * np.nan}
        ),
        lambda a, f: rename(a, WEIGHT, "module/encoder.body.hidden.1.weight"),
        lambda a, f: rename(a, WEIGHT, "../../" + WEIGHT),
        lambda a, f: a.clear(),
    ],
)
def test_forged_arrays_are_refused(forge, change):
    refused(forge(change))


# Forged facts


def architecture(facts):
    return find(facts, "record", "Architecture")["of"]


def state(facts):
    return facts["model"]["state"]


def layout(facts):
    return find(facts, "layout")


def nested(depth):
    node = 1
    for _ in range(depth):
        node = [node]
    return node


SPEC = {"$": "spec", "name": "skvae.priors.StandardNormal", "of": {}}


@pytest.mark.parametrize(
    "change",
    [
        lambda a, f: f.clear(),
        lambda a, f: f.update(format=True),
        lambda a, f: f.update(format="1"),
        lambda a, f: f.update(format=0),
        lambda a, f: f.update(format=2**70),
        lambda a, f: f.update(n_columns="4"),
        lambda a, f: f.update(model=[]),
        lambda a, f: f.update(model=SPEC),
        lambda a, f: f.pop("model"),
        lambda a, f: f["model"].pop("module"),
        lambda a, f: f["model"].update(more=1),
        lambda a, f: f["model"].update(module="mod"),
        lambda a, f: f["model"].update(module=""),
        lambda a, f: f["model"].update(module=3),
        lambda a, f: f["model"].update(name="builtins.eval"),
        lambda a, f: f["model"].update(name="skvae.estimators._base.LatentTransformer"),
        lambda a, f: f["model"].update(name=["skvae.estimators.VAETransformer"]),
        lambda a, f: f["model"].update({"$": "pickle"}),
        lambda a, f: f["model"].update({"$": ["model"]}),
        lambda a, f: state(f).pop("prior"),
        lambda a, f: state(f).update(transform=1),
        lambda a, f: state(f).update(device_=1),
        lambda a, f: state(f).update(__class__=1),
        lambda a, f: state(f).update({"a b": 1}),
        lambda a, f: state(f).update(more=nested(100)),
        lambda a, f: state(f).update(more={"$": "own encoder", "says": "x"}),
        lambda a, f: state(f).pop("_architecture"),
        lambda a, f: state(f).update(_architecture=1),
        lambda a, f: state(f).update(_architecture={**SPEC, "name": "os.system"}),
        lambda a, f: state(f).update(
            _architecture={**SPEC, "of": {"path": "/etc/passwd"}}
        ),
        lambda a, f: state(f).update(device={"$": "device", "of": "../../dev/sda"}),
        lambda a, f: state(f).update(tol={"$": "float", "of": "nanx"}),
        lambda a, f: state(f).update(tol={"$": "decimal", "of": "1e999999999"}),
        lambda a, f: state(f).update(tol={"$": "dtype", "of": "O" * 1000}),
        lambda a, f: state(f).update(tol={"$": "array", "at": WEIGHT}),
        lambda a, f: state(f).update(tol={"$": "array", "at": "../x"}),
        lambda a, f: state(f).update(tol={"$": "dict", "of": [[[], 1]]}),
        lambda a, f: state(f).update(tol={"$": "dict", "of": [[1, 1], [1, 2]]}),
        lambda a, f: state(f).update(tol={"$": "names", "of": {"$": "float"}}),
        lambda a, f: architecture(f).update(n_features=10**9),
        lambda a, f: architecture(f).update(n_components=10**9),
        lambda a, f: architecture(f).update(n_features=5),
        lambda a, f: architecture(f).update(n_features=-1),
        lambda a, f: architecture(f).update(more=1),
        lambda a, f: architecture(f).pop("prior"),
        lambda a, f: architecture(f)["encoder"]["of"].update(
            hidden_layer_sizes=[10**9]
        ),
        lambda a, f: architecture(f)["encoder"]["of"].update(
            hidden_layer_sizes=[60_000] * 2
        ),
        lambda a, f: architecture(f)["encoder"]["of"].update(
            hidden_layer_sizes=[1] * 60_000
        ),
        lambda a, f: architecture(f)["encoder"]["of"].update(activation="__import__"),
        lambda a, f: architecture(f).update(
            prior={
                **SPEC,
                "name": "skvae.priors.CategoricalLatents",
                "of": {"n_categories": 2, "n_variables": 10**12},
            }
        ),
        lambda a, f: architecture(f).update(
            likelihood={
                **SPEC,
                "name": "skvae.likelihoods.Categorical",
                "of": {"n_categories": [60_000] * 5_000},
            }
        ),
        lambda a, f: layout(f).update(library="os"),
        lambda a, f: layout(f).update(dtypes="read_csv(source='/etc/passwd')"),
        lambda a, f: layout(f).update(
            dtypes="Datetime(time_zone='dateutil//etc/passwd')"
        ),
        lambda a, f: layout(f).update(dtypes="int64" * 200),
        lambda a, f: layout(f).update(kinds="x"),
        lambda a, f: layout(f).update(names=["a"]),
        lambda a, f: layout(f).update(kind_codes=BIAS),
    ],
)
def test_forged_facts_are_refused(forge, change):
    start = time.process_time()
    refused(forge(change))
    assert time.process_time() - start < 5.0


def test_names_of_other_kinds_of_columns_make_no_types(forge):
    """A text that packages of tables would call is no type of column."""
    for text in ("scan_csv('x')", "date_range(1)", "Period[D]", "eval", "arrow x"):
        refused(
            forge(lambda arrays, facts, text=text: layout(facts).update(dtypes=text))
        )


# Other files


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("dump", [pickle.dump, torch.save])
def test_renamed_pickle_is_refused_and_not_executed(dump, path, tmp_path):
    canary = tmp_path / "canary"
    with path.open("wb") as file:
        dump(Canary(canary), file)
    refused(path)
    assert not canary.exists()


def test_pickle_in_an_array_is_not_executed(forge, tmp_path):
    canary = tmp_path / "canary"
    data = np.frombuffer(pickle.dumps(Canary(canary)), np.uint8)

    def change(arrays, facts):
        arrays["more"] = data
        state(facts)["more"] = {"$": "array", "at": "more"}

    assert skvae.load(forge(change)).more.tobytes() == data.tobytes()
    assert not canary.exists()


def test_nothing_is_imported_that_a_file_names(forge, tmp_path, monkeypatch):
    canary = tmp_path / "canary"
    (tmp_path / "hostile.py").write_text(f"import os; os.mkdir({str(canary)!r})")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("hostile", "hostile.x", "skvae.hostile", "skvae.priors.hostile"):
        node = {**SPEC, "name": name}
        refused(forge(lambda a, f, node=node: state(f).update(prior=node)))
        refused(forge(lambda a, f, name=name: f["model"].update(name=name)))
    assert not canary.exists()


# Memory


MEASURE = """
import re, sys, warnings
import skvae

def peak():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1])

warnings.simplefilter("ignore")
skvae.load(sys.argv[1])
# The peak so far, which counts what importing took, is forgotten.
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = peak()
for path in sys.argv[2:]:
    try:
        skvae.load(path)
    except skvae.ModelFileError:
        continue
    sys.exit(f"{path} was loaded")
print(peak() - before)
"""


def huge(path):
    """Yield files of up to 2 MB that ask for much memory."""
    arrays = {"floats": np.zeros(200_000), "texts": np.zeros(100, np.uint8)}
    lists = {"$": "floats", "at": "floats"}
    changes = [
        lambda f: architecture(f)["encoder"]["of"].update(
            hidden_layer_sizes=[60_000] * 2
        ),
        lambda f: architecture(f)["decoder"]["of"].update(
            hidden_layer_sizes=[30_000, 300, 30_000]
        ),
        lambda f: architecture(f).update(n_features=65_000, n_components=65_000),
        lambda f: architecture(f).update(
            likelihood={**SPEC, "name": "skvae.likelihoods.NormalScores"},
            n_features=65_000,
        ),
        lambda f: architecture(f).update(
            likelihood={
                **SPEC,
                "name": "skvae.likelihoods.Categorical",
                "of": {"n_categories": [2] * 60_000 + [60_000]},
            }
        ),
        lambda f: architecture(f).update(
            prior={
                **SPEC,
                "name": "skvae.priors.VampPrior",
                "of": {"n_pseudo_inputs": 65_000},
            },
            n_components=4000,
        ),
        lambda f: state(f).update(more=[[] for _ in range(60_000)]),
        lambda f: state(f).update(more=[lists, 10**4000]),
        lambda f: state(f).update(more="x" * (MOST_BYTES // 2)),
        lambda f: state(f).update(more=[1.5e-7] * (MOST_BYTES // 12)),
    ]
    for i, change in enumerate(changes):
        yield path.with_name(f"{i}.skvae"), arrays, change


@pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="needs the peak memory of Linux"
)
def test_memory_is_bounded_by_the_size_of_the_file(saved, path):
    paths = []
    for each, more, change in huge(path):
        arrays, facts = read(saved)
        change(facts)
        write(each, arrays | more, facts)
        paths.append(each)
    for i, length in enumerate((2**40, 2**63, MOST_BYTES)):
        each = path.with_name(f"length{i}.skvae")
        each.write_bytes(length.to_bytes(8, "little") + b"{" * 100)
        paths.append(each)
    run = [sys.executable, "-c", MEASURE, str(saved), *map(str, paths)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    most = max(each.stat().st_size for each in paths) + (64 << 20)
    assert 1024 * int(done.stdout) < most


# Kills


def write_for_ever(path):
    """Write files of which each has one number only."""
    for k in itertools.count(1):
        write(path, {"x": np.full(1 << 18, k, np.float32)}, {"k": k})


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_save_leaves_the_old_file_or_the_new_one(path):
    write(path, {"x": np.zeros(1)}, {"k": 0})
    seen = set()
    for _ in range(int(os.environ.get("SKVAE_KILLS", 10))):
        process = os.fork()
        if not process:
            try:
                write_for_ever(path)
            finally:
                os._exit(1)
        time.sleep(random.uniform(0.005, 0.1))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        arrays, facts = read(path)
        assert (arrays["x"] == facts["k"]).all()
        seen.add(facts["k"])
    # Kills struck between files, and within them.
    assert len(seen) > 1
    assert len(os.listdir(path.parent)) > 1

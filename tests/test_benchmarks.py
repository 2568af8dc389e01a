"""The harness of the benchmarks, and the pages made of its kept results."""

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("results/*.csv"))


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


@pytest.mark.parametrize("name", NAMES)
def test_page_is_what_the_writer_makes_of_the_kept_results(name):
    pages = import_module("pages")
    made = pages.page(import_module(name))[0]
    assert made == (pages.FOLDER / f"{name}.rst").read_text("utf-8")


@pytest.fixture
def echo():
    """A benchmark whose method returns the problem, in a process of its own."""
    harness = import_module("harness")
    return SimpleNamespace(
        CASES=[("iris", "all")],
        METHODS={"echo": harness.Method("builtins:vars", {"k": 2})},
        N_SEEDS=2,
        N_THREADS=1,
        problem=lambda case, max_rows: {"seed": case.seed},
        measure=lambda case, problem, answer: harness.scalars(answer),
    )


@pytest.fixture
def options(tmp_path):
    every = dict.fromkeys(("data", "splits", "methods", "seeds", "max_rows"))
    limits = {"jobs": 1, "minutes": 1.0, "timeout": 60.0, "peers_root": None}
    return SimpleNamespace(**every, **limits, out=tmp_path / "echo.csv")


def test_a_fit_is_a_row_per_measure(echo, options):
    import_module("harness").run(echo, options)
    rows = import_module("results").read(options.out)
    found = rows[rows["measure"].isin(["seed", "k"])]
    assert found["value"].tolist() == ["0", "2", "1", "2"]
    assert found["version"].str.contains("numpy").all()


def test_what_is_measured_is_not_run_again_and_what_failed_is(echo, options):
    harness = import_module("harness")
    echo.N_SEEDS = 1
    working = echo.METHODS["echo"]
    echo.METHODS["echo"] = harness.Method("builtins:absent")
    harness.run(echo, options)
    assert len(list(harness.tasks(echo, options))) == 1
    echo.METHODS["echo"] = working
    harness.run(echo, options)
    assert not list(harness.tasks(echo, options))
    rows = import_module("results").read(options.out)
    assert "error" not in rows["measure"].tolist()

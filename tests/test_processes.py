"""Processes and threads: what forks, runs side by side, and shares two cores."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV

from skvae import VAETransformer
from skvae._threads import own_threads, threads_for

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")


def tiny(**params):
    params = {"hidden_layer_sizes": (8,), "max_iter": 2, "tol": None, **params}
    return VAETransformer(random_state=0, **params)


@pytest.fixture(scope="module")
def found():
    """Return what a process with two threads says, by the name of its function."""
    file = Path(__file__).parent / "two_threads.py"
    command = [sys.executable, "-W", "ignore", str(file)]
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    known = {"capture_output": True, "text": True, "env": {**os.environ, **numbers}}
    done = subprocess.run(command, timeout=300, **known)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


# Forked processes

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="requires os.fork")


@needs_fork
def test_forked_child_answers_and_fits_within_20_s(found):
    assert found["forked_child"] == 0


@needs_fork
def test_child_that_is_forked_inside_of_a_call_stays_on_one_thread(found):
    assert found["child_forked_inside_of_a_call"] == 1


# The number of threads


def test_small_fits_use_one_thread_and_large_ones_all(found):
    assert found["steps_of_small_and_large_fits"] == [[1], [2], 2]


def test_all_numbers_are_as_before_after_calls_and_errors(found):
    before, *after = found["restored_after_calls_and_errors"]
    assert set(before) == {2}
    assert after == [before] * 4


def test_each_python_thread_has_its_own_number(found):
    assert found["numbers_of_python_threads"] == [2, 1, 2, 1, 2]


def test_blas_is_left_alone_where_it_was_lowered_already(found):
    assert found["numbers_of_blas"] == [[2], [1], [1], [2]]


def test_number_is_never_raised(untouched):
    assert torch.get_num_threads() == 1
    with own_threads():
        threads_for(float("inf"))
        assert torch.get_num_threads() == 1


def test_no_thread_waits_actively_during_a_small_fit(found):
    """One would take the process as much CPU time again."""
    whole, own = found["time_of_a_small_fit"]
    assert whole < 1.3 * own + 0.2


# Several processes or threads at once


def scores_of(search):
    results = search.cv_results_
    return {key: results[key] for key in results if key.endswith("_test_score")}


@pytest.fixture(scope="module")
def grid_search(iris):
    """Return a search, and the scores of its fits one after the other."""
    search = GridSearchCV(tiny(), {"n_components": [1, 2]}, cv=2, refit=False)
    return search, scores_of(search.fit(iris))


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_grid_search_side_by_side_is_the_serial_one(backend, iris, grid_search):
    search, scores = grid_search
    with parallel_config(backend=backend):
        found = scores_of(search.set_params(n_jobs=2).fit(iris))
    np.testing.assert_equal(found, scores)


def test_answers_in_eight_threads_are_the_serial_ones(iris):
    vae, answers = tiny().fit(iris), {}
    parts = [iris[: 10 + i] for i in range(50)]
    serial = [vae.transform(part) for part in parts]

    def ask(i):
        answers[i] = [vae.transform(part) for part in parts]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    for found in answers.values():
        np.testing.assert_equal(found, serial)

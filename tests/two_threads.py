"""What a process with two threads of OpenMP does; `test_processes.py` reads it.

In one process, since a start takes seconds.
"""

import json
import os
import pickle
import signal
import threading
import time

import numpy as np
import torch
from sklearn.datasets import load_iris
from threadpoolctl import threadpool_info

from skvae import VAEImputer, VAETransformer, _threads
from skvae._threads import blas_threads_for, own_threads, threads_for
from skvae.training import Training

X = load_iris().data
OPTIONS = {"hidden_layer_sizes": (8,), "max_iter": 2, "tol": None, "random_state": 0}
WIDE = OPTIONS | {"hidden_layer_sizes": (256, 256)}


def threads(api=None):
    pools = [p for p in threadpool_info() if api in (None, p["user_api"])]
    return [pool["num_threads"] for pool in pools]


def exit_of(function):
    """Return how a forked child ends that calls a function, after 20 s by a signal."""
    child = os.fork()
    if not child:
        signal.alarm(20)
        os._exit(function())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def product():
    return torch.ones((512, 512)) @ torch.ones((512, 512))


def forked_child():
    vae = VAETransformer(**OPTIONS).fit(X)
    Z, text = vae.transform(X), pickle.dumps(VAETransformer(**WIDE).fit(X))
    product()

    def asked():
        for model in (vae, VAETransformer(**OPTIONS).fit(X)):
            np.testing.assert_array_equal(model.transform(X), Z)
        pickle.loads(text).score_samples(X)
        imputer = VAEImputer(max_iter=1, random_state=0)
        imputer.fit_transform(np.where(X > 6.0, np.nan, X))
        product()
        return 0

    return exit_of(asked)


def child_forked_inside_of_a_call():
    product()
    with own_threads():
        threads_for(0.0)
        # It would leave the block there, in a fit.
        return exit_of(lambda: leave_block() or torch.get_num_threads())


def leave_block():
    with own_threads():
        pass


def steps_of_small_and_large_fits():
    take, seen = Training.take, []
    least = _threads.LEAST_WORK, _threads.LEAST_TOTAL

    def watched(self, *args):
        seen.append(torch.get_num_threads())
        return take(self, *args)

    Training.take = watched
    try:
        VAETransformer(**OPTIONS).fit(X)
        small = sorted(set(seen))
        seen.clear()
        # As if this were much.
        _threads.LEAST_WORK = _threads.LEAST_TOTAL = 1
        VAETransformer(**OPTIONS).fit(X)
        return [small, sorted(set(seen)), torch.get_num_threads()]
    finally:
        Training.take = take
        _threads.LEAST_WORK, _threads.LEAST_TOTAL = least


def restored_after_calls_and_errors():
    vae, take, found = VAETransformer(**OPTIONS), Training.take, [threads()]
    vae.fit(X)
    found.append(threads())
    vae.transform(X), vae.sample(3, random_state=0), vae.inverse_transform(X[:, :2])
    found.append(threads())

    def stopped(self, *args):
        raise RuntimeError("stop")

    Training.take = stopped
    try:
        vae.fit(X)
    except RuntimeError:
        found.append(threads())
    finally:
        Training.take = take
    vae.module_.encoder.body = None
    try:
        vae.transform(X)
    except TypeError:
        found.append(threads())
    return found


def numbers_of_python_threads():
    seen = []

    def other():
        seen.append(torch.get_num_threads())
        with own_threads():
            threads_for(0.0)
            seen.append(torch.get_num_threads())
            threads_for(float("inf"))
            seen.append(torch.get_num_threads())

    with own_threads():
        threads_for(0.0)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        # An inner block raises the number no more than the outer one.
        with own_threads():
            threads_for(float("inf"))
            seen.append(torch.get_num_threads())
    return [*seen, torch.get_num_threads()]


def numbers_of_blas():
    found = []
    with blas_threads_for(1001):
        found.append(threads("blas"))
    with blas_threads_for(100):
        found.append(threads("blas"))
        # As in another Python thread, this one leaves the number alone.
        with blas_threads_for(100):
            pass
        found.append(threads("blas"))
    try:
        with blas_threads_for(100):
            raise KeyError
    except KeyError:
        found.append(threads("blas"))
    return [sorted(set(each)) for each in found]


def time_of_a_small_fit():
    """Return CPU times of the process, and of its main thread."""
    rows = np.random.default_rng(0).normal(size=(600, 60))
    vae = VAETransformer(8, max_iter=10, tol=None, random_state=0).fit(rows[:100])
    whole, own = time.process_time(), time.thread_time()
    vae.fit(rows)
    return [time.process_time() - whole, time.thread_time() - own]


if __name__ == "__main__":
    assert torch.get_num_threads() == 2
    functions = (
        time_of_a_small_fit,
        restored_after_calls_and_errors,
        steps_of_small_and_large_fits,
        numbers_of_python_threads,
        numbers_of_blas,
        forked_child,
        child_forked_inside_of_a_call,
    )
    print(json.dumps({function.__name__: function() for function in functions}))

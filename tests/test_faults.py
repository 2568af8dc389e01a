"""Faults from outside: a full GPU, a file that was cut off. Nothing is lost by them."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from skvae import VAEImputer, VAEOutlierDetector, VAETransformer
from skvae.table import as_cells

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")


def tiny(**params):
    params = {"hidden_layer_sizes": (8,), "max_iter": 2, "tol": None, **params}
    return VAETransformer(random_state=0, **params)


# A GPU out of memory


class Full:
    """Lets layers of torch find no memory for more than some rows at once."""

    def __init__(self, monkeypatch, most):
        self.seen, linear = [], torch.nn.functional.linear

        def limited(x, *args):
            self.seen.append(x.shape[-2])
            if self.seen[-1] > most:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to ...")
            return linear(x, *args)

        monkeypatch.setattr("torch.nn.functional.linear", limited)


def answers(vae, X, Z):
    yield vae.transform(X)
    yield vae.inverse_transform(Z)
    yield vae.score_samples(X)
    yield vae.sample(40, random_state=0, kind="mean")
    yield vae.impute(np.where(X > 6.0, np.nan, X))


def test_answers_take_fewer_rows_at_a_time_where_memory_is_full(iris, monkeypatch):
    vae = tiny(objective="elbo").fit(iris)
    Z = vae.transform(iris)
    expected = list(answers(vae, iris, Z))
    full = Full(monkeypatch, most=11)
    for found, whole in zip(answers(vae, iris, Z), expected, strict=True):
        np.testing.assert_allclose(found, whole, rtol=1e-9, atol=1e-12)
    # 150 rows, 75, 37, 18: then none is refused.
    full.seen.clear()
    vae.transform(iris)
    assert [n for n in full.seen if n > 11] == [150, 75, 37, 18]


def test_one_row_that_does_not_fit_is_an_error(iris, monkeypatch):
    vae = tiny(objective="elbo").fit(iris)
    Full(monkeypatch, most=0)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="CUDA out of memory"):
        vae.transform(iris[:3])


@pytest.mark.parametrize(
    "estimator",
    [tiny(), VAEImputer(max_iter=2), VAEOutlierDetector(max_iter=2)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_training_without_memory_says_what_to_lower(estimator, iris, monkeypatch):
    before = vars(estimator.fit(iris)).copy()
    Full(monkeypatch, most=11)
    message = r"more memory.*Got: CUDA out.*Lower batch_size or hidden_layer_sizes"
    with pytest.raises(torch.cuda.OutOfMemoryError, match=message) as caught:
        estimator.fit(iris)
    assert vars(estimator) == before
    # What filled the memory is not kept by the error.
    assert caught.value.__context__ is None


# A file that was cut off under a memory map


def test_cells_of_a_file_that_was_cut_off_are_an_error(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, np.ones((100, 30)))
    whole = np.load(path, mmap_mode="r")
    cells = [as_cells(whole), as_cells(whole[10:, 3:]), as_cells(whole).columns([2])]
    assert all(some.is_mapped and some[:5].min() == 1.0 for some in cells)
    os.truncate(path, 9000)
    for some in cells:
        with pytest.raises(OSError, match=r"must have 24128 bytes. Got 9000.*X\.npy"):
            some[:5]


def test_file_that_was_replaced_goes_on_to_be_read(tmp_path):
    path, other = tmp_path / "X.npy", tmp_path / "other.npy"
    np.save(path, np.ones((100, 30)))
    np.save(other, np.ones((3, 30)))
    X = np.load(path, mmap_mode="r")
    other.replace(path)
    assert as_cells(X)[:].sum() == 3000.0


def test_file_that_is_cut_off_during_a_fit_is_an_error(tmp_path):
    """In a process of its own, which a read of what is not there would end."""
    code = f"""
        import os, warnings
        warnings.simplefilter("ignore")
        import numpy as np
        from skvae import VAETransformer
        from skvae.training import Training

        path, take = {str(tmp_path / "X.npy")!r}, Training.take
        rows = np.random.default_rng(0).random((3000, 60)) > 0.5
        some = rows[:500].astype(np.float32)
        options = dict(likelihood="bernoulli", hidden_layer_sizes=(8,), max_iter=2)
        vae = VAETransformer(random_state=0, tol=None, **options).fit(some)
        Z, before = vae.transform(some), dict(vars(vae))

        def cut(self, *args):
            n_steps.append(1)
            if len(n_steps) == 3:
                os.truncate(path, 4096)
            return take(self, *args)

        Training.take = cut
        for mode in ("r", "r+"):
            n_steps = []
            np.save(path, rows.astype(np.float32))
            X = np.load(path, mmap_mode=mode)
            for method in (vae.fit, vae.transform):
                try:
                    method(X)
                except OSError as error:
                    assert "was cut off after it was mapped" in str(error)
                else:
                    raise AssertionError
            assert vars(vae) == before
            print(len(n_steps))
        np.testing.assert_array_equal(vae.transform(some), Z)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stdout.split() == ["3", "3"], done.stderr


def test_sample_weights_in_a_file_that_was_cut_off_are_an_error(iris, tmp_path):
    """In a process of its own, which a read of what is not there would end."""
    np.save(tmp_path / "X.npy", iris)
    code = f"""
        import os, warnings
        warnings.simplefilter("ignore")
        import numpy as np
        from skvae import VAEImputer, VAEOutlierDetector, VAETransformer

        X, path = np.load({str(tmp_path / "X.npy")!r}), {str(tmp_path / "w.npy")!r}
        vae, options = VAETransformer(max_iter=2, tol=None), dict(max_iter=2)
        others = VAEImputer(**options), VAEOutlierDetector(**options)
        np.save(path, np.ones(len(X)))
        weights = np.load(path, mmap_mode="r")
        vae.fit(X, sample_weight=weights)
        before = dict(vars(vae))
        os.truncate(path, 64)
        for method in (vae.fit, vae.score, *(other.fit for other in others)):
            try:
                method(X, sample_weight=weights)
            except OSError as error:
                print(str(error).startswith("sample_weight lies in a file that must"))
        assert vars(vae) == before
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stdout.split() == ["True"] * 4, done.stderr


# A loss that is not finite


@pytest.mark.filterwarnings("ignore:The loss was not finite")
def test_fit_without_a_finite_loss_leaves_the_estimator_as_it_was(iris):
    vae = tiny().fit(iris).set_params(learning_rate=1e30)
    before = vars(vae).copy()
    with pytest.raises(ValueError, match="Training requires a finite loss"):
        vae.fit(iris)
    assert vars(vae) == before

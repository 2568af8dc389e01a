"""The recipes of the page about deployment do what it says."""

import re
import runpy
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae import VAETransformer

pytestmark = pytest.mark.filterwarnings("ignore:Maximum iterations")

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "deployment.rst"
RECIPES = {
    name: textwrap.dedent(code)
    for name, code in re.findall(
        r"   :name: recipe-(.+)\n\n((?:   .*\n|\n)+)", PAGE.read_text(encoding="utf-8")
    )
}


@pytest.fixture(scope="module")
def vae(iris):
    options = {"hidden_layer_sizes": (8,), "max_iter": 2, "tol": None}
    return VAETransformer(random_state=0, **options).fit(iris)


@pytest.fixture(scope="module")
def pipeline(vae, iris):
    return make_pipeline(MinMaxScaler(), vae.__sklearn_clone__()).fit(iris)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return what runs a recipe in a folder of its own, and gives its names."""
    monkeypatch.chdir(tmp_path)

    def run(name, **known):
        Path("recipe.py").write_text(RECIPES[name], encoding="utf-8")
        return runpy.run_path("recipe.py", known)

    return run


def test_every_recipe_is_tried():
    text = Path(__file__).read_text(encoding="utf-8")
    tried = set(re.findall(r'run\("([\w-]+)"', text))
    as_run = {"mlflow-model", "mlflow-log"}
    assert tried | as_run == set(RECIPES)


def test_saved_file_answers_alike(run, vae, iris):
    again = run("save", vae=vae)["model"]
    np.testing.assert_array_equal(again.transform(iris), vae.transform(iris))


def test_joblib_keeps_a_pipeline(run, pipeline, iris):
    again = run("joblib", pipeline=pipeline)["again"]
    np.testing.assert_array_equal(again.transform(iris), pipeline.transform(iris))


def test_skops_asks_for_classes_of_skvae_alone(run, pipeline, iris, capsys):
    pytest.importorskip("skops", reason="requires skops")
    run("skops-names", pipeline=pipeline)
    names = re.findall("'(.+?)'", capsys.readouterr().out)
    assert "skvae.estimators._vae.VAETransformer" in names
    assert all(name.startswith("skvae.") for name in names)
    again = run("skops-load", TRUSTED=names)["again"]
    np.testing.assert_array_equal(again.transform(iris), pipeline.transform(iris))
    with pytest.raises(TypeError, match=r"Untrusted types found.*VAETransformer"):
        run("skops-load", TRUSTED=[])


@pytest.mark.filterwarnings("ignore:Using `httpx`")
def test_service_answers_and_refuses(run, vae, iris):
    pytest.importorskip("fastapi", reason="requires fastapi")
    pytest.importorskip("httpx", reason="requires httpx")
    from fastapi.testclient import TestClient

    vae.save("map.skvae")
    client = TestClient(run("service")["app"])
    rows = iris[:3].tolist()
    answer = client.post("/rows", json=rows)
    assert answer.status_code == 200
    np.testing.assert_allclose(answer.json()["map"], vae.transform(iris[:3]))
    np.testing.assert_allclose(answer.json()["score"], vae.score_samples(iris[:3]))
    rows[0][1] = None
    assert np.isfinite(client.post("/rows", json=rows).json()["map"]).all()
    for wrong in ([[1.0, 2.0]], [[1.0], [1.0, 2.0]], []):
        assert client.post("/rows", json=wrong).status_code == 422
    assert client.post("/rows", json=[["a"]]).status_code == 422


def test_service_has_15_lines():
    assert len([line for line in RECIPES["service"].splitlines() if line]) <= 15

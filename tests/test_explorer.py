"""The page of a model: what travels, what it decodes, what a browser does with it."""

import base64
import csv
import gzip
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import browser
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import LIKELIHOOD_CASES
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler
from torch import nn

import skvae
from skvae.estimators._apply import decode
from skvae.explorer import _columns, _contributions, _explore, _levels, _names, _rows
from skvae.explorer._page import MODULES, asset, bundle
from skvae.explorer._program import OPERATORS, decoder_program
from skvae.networks import ConvolutionalDecoder, Perceptron, ResidualPerceptron
from skvae.priors import NoPrior

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

BAD = "</script><script>window.attacked = 1</script>"
"""A text that would be code, if a page did not take care."""


def small(cls=skvae.VAETransformer, n_components=2, **params):
    """Return an estimator that is fitted in one epoch."""
    options = {"max_iter": 1, "tol": None, "early_stopping": False, "random_state": 0}
    density = {"objective": "elbo", "sampler": "prior"}
    density = density if cls is skvae.VAETransformer else {}
    networks = {} if "decoder" in params else {"hidden_layer_sizes": 6}
    return cls(n_components, **{**networks, **density, **options, **params})


def shaken(model):
    """Return a fitted model with parameters far from any start, as if trained."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.module_.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            parameter.add_(noise.to(parameter), alpha=0.2)
    return model


def table(n=200):
    """Return a table of columns of several kinds, with missing cells and odd names."""
    random = np.random.default_rng(0)
    levels = pd.CategoricalDtype(["low", "mid", "high"], ordered=True)
    X = pd.DataFrame(
        {
            "age": random.integers(18, 80, n),
            BAD: random.choice(["Rome", "Oslo", BAD], n),
            "paid": random.random(n) < 0.4,
            "height": random.normal(170.0, 10.0, n),
            "level": pd.Series(random.choice(levels.categories, n), dtype=levels),
            "day": pd.Timestamp("2024-03-01")
            + pd.to_timedelta(random.integers(0, 900, n), "D"),
        }
    )
    X.loc[::9, BAD] = None
    X.loc[::7, "height"] = np.nan
    return X


def names_of(X):
    """Return names of rows that a spreadsheet would compute."""
    return pd.Index([f"=ROW({i})" for i in range(len(X))], name="@key")


def unpacked(page):
    """Return the header and the arrays of a page, as a browser reads them."""
    text = re.search(r'<script id="data" type="text/plain">(.*?)</script>', page)[1]
    data = gzip.decompress(base64.b64decode(text, validate=True))
    start = 4 + int.from_bytes(data[:4], "little")
    header = json.loads(data[4:start])
    arrays = [
        np.frombuffer(data, "<" + kind, int(np.prod(shape)), start + place).reshape(
            shape
        )
        for kind, shape, place in header["arrays"]
    ]
    return header, arrays


def decoded_cells(model, Z):
    """Return what the model decodes, before it is put into the types of columns."""
    return decode(model.module_, Z, lambda p, outputs: p.mean(outputs))


def values_of(column, arrays):
    """Return the numbers of a column that travels."""
    if "levels" in column:
        levels = arrays[column["levels"]]
    else:
        levels = np.linspace(column["low"], column["high"], column["n"])
    codes = arrays[column["codes"]]
    return np.where(codes == 255, np.nan, np.append(levels, [0.0] * 256)[codes])


@pytest.fixture(scope="module")
def of_table():
    X = table()
    return shaken(small(likelihood={"height": "student_t"}).fit(X)), X


@pytest.fixture(scope="module")
def of_iris(iris):
    return small().fit(iris)


@pytest.fixture(scope="module")
def page_of_table(of_table):
    model, X = of_table
    y = pd.Series(np.where(X["age"] > 40, "old", "young"), name=BAD)
    return skvae.explore(model, X.set_axis(names_of(X)), y).html


# What travels


def test_values_of_all_rows_of_a_narrow_table_travel(of_table, page_of_table):
    _, X = of_table
    header, arrays = unpacked(page_of_table)
    assert arrays[header["travelling"]].tolist() == [*range(len(X))]
    age, city, paid, height, level, day = header["columns"]
    assert [column["name"] for column in header["columns"]] == list(X.columns)
    np.testing.assert_array_equal(values_of(age, arrays), X["age"])
    np.testing.assert_array_equal(values_of(paid, arrays), X["paid"])
    np.testing.assert_array_equal(values_of(height, arrays), X["height"])
    dates = pd.Timestamp(0) + pd.to_timedelta(
        day["origin"] + values_of(day, arrays), "D"
    )
    assert (np.abs(dates - pd.DatetimeIndex(X["day"])) < pd.Timedelta(days=8)).all()
    for column in (city, level):
        names = [*column["categories"], *[None] * 256]
        found = [names[code] for code in arrays[column["codes"]].tolist()]
        wanted = X[column["name"]].astype(object)
        assert found == wanted.where(wanted.notna(), None).tolist()


def test_places_and_measures_are_those_of_the_model(of_table, page_of_table):
    model, X = of_table
    header, arrays = unpacked(page_of_table)
    z, (density, width) = header["rows"]["z"], header["rows"]["measures"]
    low, high = np.array(z["low"]), np.array(z["high"])
    found = low + arrays[z["codes"]].T / 65535 * (high - low)
    np.testing.assert_allclose(found, model.transform(X), atol=1e-4)
    for said, exact in (
        (density, model.score_samples(X)),
        (width, model.posterior(X)[1].mean(axis=1)),
    ):
        np.testing.assert_allclose(values_of(said, arrays), exact)


def test_labels_are_those_of_the_display(page_of_table):
    header, arrays = unpacked(page_of_table)
    labels = header["rows"]["labels"]
    assert labels["name"] == BAD
    assert labels["names"] == ["old", "young"]
    assert (table()["age"] > 40).tolist() == (arrays[labels["codes"]] == 0).tolist()


def test_numbers_are_near_in_value_and_in_rank():
    x = np.random.default_rng(0).lognormal(3.0, 2.0, 5000)
    for levels_of, n in ((_levels._levels, 127), (_levels._even_levels, 255)):
        codes, levels = _levels.coded(np.append(x, np.nan), levels_of)
        assert codes[-1] == _levels.MISSING
        assert len(levels) <= 255
        step = (x.max() - x.min()) / (n - 1)
        assert np.abs(levels[codes[:-1]] - x).max() <= 0.5 * step
    codes, levels = _levels.coded(x, _levels._levels)
    ranks = [np.searchsorted(np.sort(x), v) / len(x) for v in (x, levels[codes])]
    assert np.abs(ranks[0] - ranks[1]).max() <= 1 / 127


def test_only_some_rows_of_a_wide_table_bring_values(of_table):
    model, X = of_table
    page = skvae.explore(model, X, max_cells=6 * 50 + 5)
    header, arrays = unpacked(page.html)
    rows = arrays[header["travelling"]]
    assert len(rows) == len(set(rows.tolist())) == 50
    age = values_of(header["columns"][0], arrays)
    np.testing.assert_array_equal(age, X["age"].iloc[rows])
    assert "50 of 200 rows" in header["notes"][0]
    assert page.html == skvae.explore(model, X, max_cells=6 * 50 + 5).html


def test_no_values_travel_where_none_may(of_table):
    model, X = of_table
    header, arrays = unpacked(skvae.explore(model, X, max_cells=0).html)
    assert all(not arrays[column["codes"]].size for column in header["columns"])
    assert arrays[header["travelling"]].size == 0
    assert "no values of rows" in header["notes"][0]
    # The range of pictures is that of decoded rows.
    ages = decoded_cells(model, model.transform(X))[:, 0]
    said = header["columns"][0]
    assert ages.min() <= said["from"] <= said["to"] <= ages.max()


def test_contributions_are_those_of_explain(of_table, page_of_table):
    model, X = of_table
    header, arrays = unpacked(page_of_table)
    places, codes, steps = (
        arrays[header["unusual"][name]] for name in ("places", "codes", "steps")
    )
    assert places.tolist() == [*range(len(X))]
    signed = codes.astype(float)
    found = signed * np.abs(signed) * steps[:, None]
    exact = model.explain(X, baseline="usual")
    exact["latent"] = model.explain(X)["latent"]
    largest = np.abs(exact.to_numpy()).max(axis=1, keepdims=True)
    assert (np.abs(found - exact) <= 0.008 * largest).all(axis=None)
    # A missing cell contributes nothing.
    assert (found[:, :-1][X.isna()] == 0.0).all()
    assert "What makes a row unusual" in header["notes"][1]


def test_contributions_take_what_values_leave(of_table):
    model, X = of_table
    header, arrays = unpacked(skvae.explore(model, X, max_cells=200 * 6 + 7 * 50).html)
    assert len(arrays[header["travelling"]]) == 200
    places = arrays[header["unusual"]["places"]]
    assert len(set(places.tolist())) == 50
    assert places.max() >= 100
    assert "of 50 rows" in header["notes"][1]


def test_numbers_of_rows_keep_zeros_and_gaps():
    values = np.array([[0.0, 0.0], [100.0, -0.01], [np.nan, 1.0]])
    codes, steps = _contributions.coded(values)
    assert codes.tolist() == [[0, 0], [127, -1], [0, 0]]
    np.testing.assert_allclose(steps, [0.0, 100.0 / 127**2, np.nan], rtol=1e-6)


def test_names_of_rows_travel_with_their_values(of_table, page_of_table, monkeypatch):
    _, X = of_table
    header, _ = unpacked(page_of_table)
    assert header["names"] == {"name": "@key", "texts": [*names_of(X)]}
    days = pd.date_range("2024-01-30", periods=len(X), name="day")
    both = pd.MultiIndex.from_arrays([days, range(len(X))], names=["day", None])
    travelling = np.array([1, 3])
    for index, name, texts in (
        (days, "day", ["2024-01-31", "2024-02-02"]),
        (both, "day", ["2024-01-31 / 1", "2024-02-02 / 3"]),
        (range(5, 5 + len(X)), "index", ["6", "8"]),
    ):
        found = _names.names_of(X.set_axis(index), travelling)
        assert found == {"name": name, "texts": texts}
        assert _names.names_of(X.set_axis(index), travelling[:0]) is None
    monkeypatch.setattr(_names, "MOST_CHARACTERS", 1)
    for table in (X, X.to_numpy(), X.set_axis(days)):
        assert _names.names_of(table, travelling) is None


def test_page_of_50_000_rows_of_784_columns_has_at_most_5_megabytes(monkeypatch):
    # So many rows take few draws.
    monkeypatch.setattr(_rows, "FEW", 0)
    # Uniform noise, which cannot be compressed.
    X = np.random.default_rng(0).random(size=(100, 784))
    model = small(hidden_layer_sizes=(256,)).fit(X)
    y = np.arange(len(X)) % 10
    page = skvae.explore(model, X, y, image_shape=(28, 28))
    travelling = _columns.rows_that_travel(50_000, 784, 2_000_000)
    # A cell takes a byte, and a row two components of 16 bits and three codes of 8.
    cells, places = 784 * (len(travelling) - len(X)), (2 * 2 + 3) * (50_000 - len(X))
    assert len(page.html) + (cells + places) * 4 / 3 < 5e6


# Pages


def test_page_is_one_file_whose_texts_are_data(page_of_table):
    assert page_of_table.count("<script") == page_of_table.count("</script>") == 2
    assert "attacked" not in page_of_table
    assert not re.findall(r'(?:src|href)="(?!data:)', page_of_table)
    assert not re.findall(r"https?://", page_of_table)


def test_policy_allows_the_one_script_and_style(page_of_table):
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page_of_table)[1]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    script = re.search(r'<script type="module">(.*?)</script>', page_of_table, re.S)[1]
    style = re.search(r"<style>(.*?)</style>", page_of_table, re.S)[1]
    for text in (script, style):
        digest = hashlib.sha256(text.encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_files_and_frames_hold_the_page(of_table, tmp_path, untouched):
    model, X = of_table
    path = tmp_path / "page.html"
    explorer = skvae.explore(model, X, path=path)
    assert path.read_text("utf-8") == explorer.html
    explorer.save(tmp_path / "other.html")
    assert (tmp_path / "other.html").read_bytes() == path.read_bytes()
    frame = explorer._repr_html_()
    assert html.unescape(re.search('srcdoc="(.*?)"', frame, re.S)[1]) == explorer.html
    assert re.fullmatch(r"<Explorer: a page of 0\.\d MB>", repr(explorer))


def test_detector_and_autoencoder_have_pages(iris):
    detector = skvae.VAEOutlierDetector(estimator=small()).fit(iris)
    header, _ = unpacked(skvae.explore(detector, iris).html)
    assert header["title"] == "VAETransformer, 150 rows"
    model = small(skvae.AutoencoderTransformer, 1).fit(iris)
    header, arrays = unpacked(skvae.explore(model, iris, iris[:, 0]).html)
    assert header["unusual"] is None
    (score,) = header["rows"]["measures"]
    assert score["name"] == "minus squared error"
    np.testing.assert_allclose(values_of(score, arrays), model.score_samples(iris))
    np.testing.assert_array_equal(
        values_of(header["rows"]["labels"], arrays), iris[:, 0]
    )


def test_page_without_density_says_why(iris):
    model = small(prior=NoPrior(), objective="rae").fit(iris)
    header, _ = unpacked(skvae.explore(model, iris).html)
    assert "There is no log-density" in header["notes"][1]
    assert header["unusual"] is None
    assert len(header["notes"]) == 2


@pytest.mark.parametrize(
    ("given", "shape"),
    [((4, 6), (4, 6)), ((4, 6, 1), (4, 6)), ((4, 2, 3), (4, 2, 3)), ((4, 3, 2), None)],
)
def test_images_have_the_shape_of_a_convolutional_decoder(given, shape):
    decoder = ConvolutionalDecoder(given, (2, 3), n_units=5)
    found = _explore._shape_of(SimpleNamespace(decoder_=decoder))
    assert found == shape


def test_page_has_the_shape_of_a_convolutional_decoder():
    X = np.random.default_rng(0).random((20, 24))
    decoder = ConvolutionalDecoder((4, 6), (2, 3), n_units=5)
    header, _ = unpacked(skvae.explore(small(decoder=decoder).fit(X), X).html)
    assert header["shape"] == [4, 6]
    # A list of pixels would say little.
    assert header["unusual"] is None


def test_long_scores_take_few_draws(of_table, monkeypatch):
    model, X = of_table
    monkeypatch.setattr(_rows, "FEW", 0)
    header, arrays = unpacked(skvae.explore(model, X).html)
    assert "4 draws per row" in header["notes"][1]
    scores = model.score_samples(X, n_draws=4)
    np.testing.assert_allclose(values_of(header["rows"]["measures"][0], arrays), scores)


class Sorted(nn.Module):
    """A layer that no graph has."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    def forward(self, h):
        return self.layer(h).sort(-1).values


def test_decoder_without_a_form_stays_behind(iris):
    model = small(decoder=Sorted).fit(iris)
    header, _ = unpacked(skvae.explore(model, iris).html)
    assert header["program"] is None
    assert re.search("cannot decode.*Sorted.*Use a network", header["notes"][-1])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"max_cells": -1}, ValueError, "max_cells must be a whole number"),
        ({"max_cells": 2.5}, ValueError, "Got 2.5"),
        ({"image_shape": (3, 3)}, ValueError, "as many values as X has features"),
        ({"X": np.empty((0, 4))}, ValueError, "at least one row|0 sample"),
        ({"y": [1, 2]}, ValueError, "inconsistent numbers of samples"),
        ({"estimator": StandardScaler().fit(np.eye(4))}, TypeError, "last step"),
        ({"estimator": small()}, NotFittedError, "not fitted"),
    ],
)
def test_errors_say_what_is_wrong(change, error, said, of_iris, iris):
    given = {"estimator": of_iris, "X": iris, **change}
    with pytest.raises(error, match=said):
        skvae.explore(given.pop("estimator"), given.pop("X"), **given)


# The decoder, in JavaScript

NODE = shutil.which("node")


def node_version():
    """Return the first number of the version of node, 0 without it."""
    if NODE is None:
        return 0
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True).stdout
    return int(said.strip().lstrip("v").split(".")[0] or 0)


needs_node = pytest.mark.skipif(
    node_version() < 18, reason="needs node 18, which unpacks as browsers do"
)

DECODE = """
import { readFileSync } from "node:fs";
const answers = [];
for (const { pack, z, n } of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  const { header, arrays } = await unpack(pack);
  answers.push([...new Decoder(header.program, arrays).decode(z, n)]);
}
console.log(JSON.stringify(answers));
"""

NETWORKS = [
    *(Perceptron((6, 5), name) for name in ("identity", "logistic", "tanh")),
    *(Perceptron((6, 5), name) for name in ("relu", "silu")),
    ResidualPerceptron(2, 6),
    ConvolutionalDecoder((4, 4), (2, 3), n_units=5),
]


def decoders():
    """Return fitted models: of each likelihood, and then of each network."""
    models = [small(likelihood=case.spec).fit(case.X) for case in LIKELIHOOD_CASES]
    X = np.random.default_rng(0).normal(size=(40, 16))
    models += [small(n_components=3, decoder=network).fit(X) for network in NETWORKS]
    return [shaken(model) for model in models]


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """Return points decoded by node and by the model, for each of the models."""
    jobs, expected, random = [], [], np.random.default_rng(0)
    for model in decoders():
        pack, Z = _levels.Pack(), 2.0 * random.normal(size=(5, model.n_components_))
        text = pack.text({"program": decoder_program(model, pack)})
        jobs.append({"pack": text, "z": Z.ravel().tolist(), "n": len(Z)})
        expected.append(decoded_cells(model, Z))
    folder = tmp_path_factory.mktemp("node")
    script = bundle(("unpack", "operators", "decoder")) + DECODE
    (folder / "decode.mjs").write_text(script, "utf-8")
    (folder / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    command = [NODE, folder / "decode.mjs", folder / "jobs.json"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    answers = map(np.array, json.loads(run.stdout))
    return list(zip(answers, expected, strict=True))


@needs_node
@pytest.mark.parametrize(
    "which",
    range(len(LIKELIHOOD_CASES) + len(NETWORKS)),
    ids=[*map(str, LIKELIHOOD_CASES), *map(repr, NETWORKS)],
)
def test_script_decodes_as_the_model_does(decoded, which):
    found, expected = decoded[which]
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-10, atol=1e-12)


def test_operators_are_those_of_the_script():
    text = asset("operators.js").split("export const OPERATORS = {")[1]
    assert set(re.findall(r"^  (\w+):", text, re.MULTILINE)) == OPERATORS


def test_scripts_are_short_and_import_what_others_export():
    texts = {f"./{name}.js": asset(f"{name}.js") for name in MODULES}
    declared = r"^(?:export )?(?:async )?(?:const|function|class) (\w+)"
    names = [
        name for text in texts.values() for name in re.findall(declared, text, re.M)
    ]
    assert len(names) == len(set(names))
    for text in texts.values():
        assert len(text.splitlines()) <= 400
        for names, path in re.findall(r'^import \{ (.*) \} from "(.*)";$', text, re.M):
            exported = r"^export (?:async )?(?:const|function|class) (\w+)"
            assert set(names.split(", ")) <= set(
                re.findall(exported, texts[path], re.M)
            )
            for name in names.split(", "):
                assert len(re.findall(rf"\b{name}\b", text)) > 1
        assert len(re.findall(r"^import", text, re.M)) == len(
            re.findall(r"^import .*;$", text, re.M)
        )


# In a browser

needs_browser = pytest.mark.skipif(
    not (browser.CHROMIUM and browser.DRIVER), reason="needs chromium and chromedriver"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    chromium = browser.Browser(tmp_path_factory.mktemp("browser"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def file_of_page(page_of_table, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page_of_table, "utf-8")
    return path


def show(chromium, path):
    """Open a page, unless it is open, and wait until it is drawn."""
    if chromium.run("return location.href") != path.as_uri():
        chromium.open(path)
        chromium.until("return performance.getEntriesByName('drawn').length")


@pytest.fixture
def opened(chromium, file_of_page):
    """Return the browser with the page of the table."""
    show(chromium, file_of_page)
    return chromium


def place_of(opened, x, y):
    """Return where a point of the map is in the window."""
    script = """
        const { scatter } = window.explorer;
        const box = scatter.over.getBoundingClientRect();
        const [x, y] = scatter.toScreen(...arguments);
        return [box.left + x, box.top + y];
    """
    return opened.run(script, x, y)


POINT = "return [Array.from(window.explorer.z), Array.from(window.explorer.cells)];"


def assert_decodes(opened, model):
    z, cells = opened.run(POINT)
    expected = decoded_cells(model, np.array([z]))[0]
    np.testing.assert_allclose(cells, expected, rtol=1e-10, atol=1e-12)
    return np.array(z)


@needs_browser
def test_click_decodes_the_point(opened, of_table):
    opened.run("window.explorer.scatter.fit()")
    opened.drag(place_of(opened, 0.3, -0.2))
    z = assert_decodes(opened, of_table[0])
    np.testing.assert_allclose(z, [0.3, -0.2], atol=0.02)
    shown = opened.run("return document.querySelector('#cells tbody').innerText")
    decoded = of_table[0].inverse_transform(z[None])
    assert f"{decoded['age'][0]}" in shown
    assert decoded["level"][0] in shown


@needs_browser
def test_dragging_the_point_morphs(opened, of_table):
    opened.run("window.explorer.scatter.fit()")
    opened.drag(place_of(opened, 0.0, 0.0))
    view = opened.run("return window.explorer.scatter.view")
    places = [place_of(opened, x, x) for x in (0.0, 0.2, 0.4)]
    opened.drag(*places)
    z = assert_decodes(opened, of_table[0])
    np.testing.assert_allclose(z, [0.4, 0.4], atol=0.03)
    assert opened.run("return window.explorer.scatter.view") == view


@needs_browser
def test_dragging_the_map_and_the_wheel_change_the_view(opened):
    opened.run("window.explorer.scatter.fit()")
    before = opened.run("return window.explorer.scatter.view")
    opened.drag((100, 600), (150, 560), (200, 500))
    after = opened.run("return window.explorer.scatter.view")
    assert after["x"] == pytest.approx(before["x"] - 100 / before["sx"])
    assert after["y"] == pytest.approx(before["y"] - 100 / before["sy"])
    opened.run("document.querySelector('#in').click()")
    zoomed = opened.run("return window.explorer.scatter.view")
    assert zoomed["sx"] == pytest.approx(1.4 * before["sx"])


@needs_browser
def test_hover_shows_the_values_of_a_row(opened, of_table):
    opened.run("window.explorer.scatter.fit()")
    model, X = of_table
    Z = model.transform(X)
    # One in the middle of the map, apart from others.
    distances = np.linalg.norm(Z[:, None] - Z[None], axis=-1) + 9.0 * np.eye(len(Z))
    is_inside = (np.abs(Z) < 0.9 * np.quantile(np.abs(Z), 0.9, axis=0)).all(axis=1)
    row = int(np.argmax(np.where(is_inside, distances.min(axis=1), 0.0)))
    opened.hover(*place_of(opened, *Z[row]))
    text = opened.until(
        "const tip = document.querySelector('#tip');"
        "return !tip.hidden && tip.innerText;"
    )
    assert f"=ROW({row}) · {BAD} " in text
    assert "most unusual: " in text
    assert str(X["age"][row]) in text
    assert X["level"][row] in text
    assert opened.run("return window.attacked ?? null") is None


@needs_browser
def test_row_that_is_chosen_says_what_makes_it_unusual(opened, of_table):
    model, X = of_table
    contributions = model.explain(X, baseline="usual").iloc[:, :-1]
    row = int(contributions.max(axis=1).argmax())
    script = """
        window.explorer.goTo(arguments[0]);
        const lines = document.querySelectorAll("#unusual tr");
        return [
          document.querySelector("#unusual h3").textContent,
          Array.from(lines, (line) => line.querySelector("th").textContent),
          Array.from(lines, (line) => line.querySelector(".value").textContent),
          document.querySelector("#nearest button").title,
        ];
    """
    title, names, values, button = opened.run(script, row)
    assert title == f"What makes =ROW({row}) unusual"
    most = contributions.iloc[row].sort_values(ascending=False)
    most = most[most > 0.01 * most.max()][:5]
    assert names[: len(most)] == [*most.index]
    assert names[-1] == "latent term"
    assert float(values[0]) == pytest.approx(most.iloc[0], rel=0.01)
    assert button.startswith(f"Go to =ROW({row}), {BAD} ")


@needs_browser
def test_lasso_marks_rows_and_exports_them(opened, of_table):
    model, X = of_table
    Z = model.transform(X)
    opened.run("window.explorer.scatter.fit()")
    (left, bottom), (right, top) = np.quantile(Z, [0.2, 0.7], axis=0)
    corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
    opened.drag(*(place_of(opened, *c) for c in corners), key="\ue008")
    inside = ((Z > [left, bottom]) & (Z < [right, top])).all(axis=1)
    count = opened.run("return window.explorer.selection.rows.length")
    # Corners are rounded to pixels.
    assert abs(count - inside.sum()) <= 4
    opened.run("document.querySelector('#export').click()")
    path = opened.downloads / "rows.csv"
    for _ in range(200):
        if path.exists() and path.stat().st_size:
            break
        opened.run("return new Promise((done) => setTimeout(done, 20))")
    names, *lines = csv.reader(io.StringIO(path.read_bytes().decode()))
    assert len(lines) == count
    assert names[-6:] == list(X.columns)
    assert names[:3] == ["row", "'@key", BAD]
    for line in lines:
        row, said = int(line[0]), dict(zip(names, line, strict=True))
        assert line[1] == f"'=ROW({row})"
        assert float(said["age"]) == X["age"][row]
        assert said["level"] == X["level"][row]
        np.testing.assert_allclose(np.array(line[3:5], float), Z[row], atol=1e-4)


@needs_browser
def test_keys_move_the_point_and_unmark_rows(opened, of_table):
    opened.run("window.explorer.scatter.fit(); window.explorer.selectView()")
    opened.drag(place_of(opened, 0.0, 0.0))
    (before, _), view = (
        opened.run(POINT),
        opened.run("return window.explorer.scatter.view"),
    )
    opened.press("\ue014")
    z = assert_decodes(opened, of_table[0])
    assert z[0] == pytest.approx(before[0] + 8 / view["sx"])
    opened.press("\ue007")
    row = opened.run("return window.explorer.panel.chosen")
    Z = of_table[0].transform(of_table[1])
    np.testing.assert_allclose(opened.run(POINT)[0], Z[row], atol=1e-4)
    opened.press("\ue00c")
    assert opened.run("return document.querySelector('#selection').hidden")


@needs_browser
def test_classes_can_be_hidden_and_columns_give_colors(opened, of_table):
    opened.run("document.querySelector('#legend button').click()")
    shown = opened.run("return Array.from(window.explorer.rows.shown)")
    assert sum(shown) == (of_table[1]["age"] <= 40).sum()
    script = """
        const select = document.querySelector("#color");
        const texts = [];
        for (let i = 0; i < select.options.length; i++) {
          select.selectedIndex = i;
          select.dispatchEvent(new Event("change"));
          texts.push(document.querySelector("#legend").innerText);
        }
        select.selectedIndex = 0;
        select.dispatchEvent(new Event("change"));
        return texts;
    """
    texts = opened.run(script)
    assert [text.split("\n")[0] for text in texts] == [
        BAD,
        "log-density",
        "posterior width",
        *of_table[1].columns,
    ]
    assert "high" in texts[-2]
    assert opened.run("return Array.from(window.explorer.rows.shown)") == [1] * len(
        shown
    )


@pytest.fixture(scope="module")
def made_of_images(tmp_path_factory):
    """Return a model of images, and a page with the values of a few."""
    X = np.random.default_rng(0).normal(size=(60, 16))
    model = shaken(small(n_components=4).fit(X))
    path = tmp_path_factory.mktemp("images") / "page.html"
    skvae.explore(model, X, path=path, max_cells=160, image_shape=(4, 4))
    return model, path


@pytest.fixture
def of_images(chromium, made_of_images):
    """Return the browser with the page of images, and their model."""
    model, path = made_of_images
    show(chromium, path)
    return chromium, model


@needs_browser
def test_sliders_move_the_other_components(of_images):
    page, model = of_images
    script = """
        const slider = document.querySelector("#sliders input[data-component='3']");
        slider.value = slider.max;
        slider.dispatchEvent(new Event("input"));
        return Number(slider.value);
    """
    value = page.run(script)
    z = assert_decodes(page, model)
    assert z[3] == pytest.approx(value)
    assert page.run("return document.querySelectorAll('#sliders input').length") == 2
    # With another axis, another component has the slider.
    page.run(
        "const s = document.querySelector('#xaxis'); s.value = 3;"
        "s.dispatchEvent(new Event('change'));"
    )
    shown = page.run(
        "return [...document.querySelectorAll('#sliders input')]"
        ".map((slider) => slider.dataset.component)"
    )
    assert shown == ["0", "2"]


@needs_browser
def test_images_are_values_or_decoded_from_places(of_images):
    page, model = of_images
    script = """
        const tip = document.createElement("div");
        tip.append(...window.explorer.tipOf(arguments[0]));
        const picture = tip.querySelector("canvas");
        const { data } = picture.getContext("2d").getImageData(0, 0, 4, 4);
        return [tip.textContent, Array.from(data).filter((_, i) => i % 4 === 0)];
    """
    rows = set(page.run("return Array.from(window.explorer.table.travelling)"))
    low, high = page.run("return window.explorer.table.limits")
    X = np.random.default_rng(0).normal(size=(60, 16))
    decoded = model.inverse_transform(model.transform(X))
    for row, values, says in (
        (min(rows), X, False),
        (min(set(range(60)) - rows), decoded, True),
    ):
        text, grays = page.run(script, row)
        assert ("decoded" in text) == says
        expected = np.clip(255 * (values[row] - low) / (high - low), 0, 255)
        np.testing.assert_allclose(grays, expected, atol=1.0)


@needs_browser
def test_page_asks_nothing_of_any_other_place(chromium, page_of_table, tmp_path):
    chromium.requests()
    path = tmp_path / "alone.html"
    path.write_text(page_of_table, "utf-8")
    chromium.open(path)
    chromium.until("return performance.getEntriesByName('drawn').length")
    chromium.drag((300, 300))
    assert {url for url in chromium.requests() if url != "data:,"} == {path.as_uri()}
    assert [e for e in chromium.entries("browser") if e["level"] == "SEVERE"] == []
    # The policy refuses what a script that should not be there would try.
    script = "return fetch(arguments[0]).then(() => 'came', () => 'refused')"
    assert chromium.run(script, "https://example.org/") == "refused"

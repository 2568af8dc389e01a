"""`suggest_likelihood` tells from values what columns are."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from skvae import VAETransformer, suggest_likelihood
from skvae.likelihoods import BY_KIND, learn_columns

N = 400
RANDOM = np.random.default_rng(0)
RATE = RANDOM.gamma(2.0, 2.0, N)

LEVELS = pd.CategoricalDtype(["lo", "hi"], ordered=True)
CODES = RANDOM.integers(2, size=N)
DAYS = pd.to_timedelta(RANDOM.integers(9, size=N), "D")
ZEROS = RANDOM.random(N) < 0.6

COLUMNS = {
    "measured": (RANDOM.normal(170.0, 9.0, N), None),
    "whole": (RANDOM.normal(0.0, 1e4, N).round(), None),
    "booleans": (RANDOM.random(N) < 0.3, None),
    "texts": (RANDOM.choice(["a", "b", "c"], N), None),
    "dates": (pd.Timestamp("2026-01-01") + DAYS, None),
    "zeros_and_ones": (RANDOM.integers(2, size=N), "bernoulli"),
    "one_or_two": (RANDOM.integers(1, 3, size=N), "categorical"),
    "grades": (RANDOM.integers(1, 6, size=N), "ordinal"),
    "sizes": (np.exp(RANDOM.normal(3.0, 1.0, N)), "log_normal"),
    "far_sizes": (np.round(np.exp(RANDOM.normal(9.0, 1.0, N))), "log_normal"),
    "tails": (RANDOM.standard_t(1.5, N), "student_t"),
    "poisson": (RANDOM.poisson(2.0, N), "poisson"),
    "counts": (RANDOM.poisson(RATE**2), "negative_binomial"),
    "lost_counts": (
        RANDOM.poisson(RATE + 3.0) * (RANDOM.random(N) < 0.5),
        "zero_inflated_negative_binomial",
    ),
    "amounts": (np.where(ZEROS, 0.0, 900.0 + 99.0 * RATE), "normal_scores"),
    "uneven": (RANDOM.choice([1.0, 3.0, 28.0, 365.0], N), "normal_scores"),
    "skewed": (-RANDOM.gamma(0.7, 3.0, N), "normal_scores"),
    "gray": (RANDOM.beta(0.5, 0.5, N), "continuous_bernoulli"),
    "levels": (pd.Categorical.from_codes(CODES, dtype=LEVELS), None),
}  # fmt: skip
"""Columns with what "auto" should not take them for; None where it is right."""

DROPPED = {
    "row": np.arange(N),
    "shuffled": RANDOM.permutation(N) + 1000,
    "user_id": RANDOM.choice(10**9, N, replace=False),
    "key": [f"k{i}" for i in range(N)],
    "notes": RANDOM.choice([f"text {i}" for i in range(N)], N),
    "constant": np.full(N, 3.5),
    "one_text": ["x"] * N,
    "empty": np.full(N, np.nan),
    "no_texts": [None] * N,
    "always": np.ones(N, dtype=bool),
    "same_day": pd.to_datetime(["2026-01-01"] * N),
}
"""Columns of which nothing can be learned."""

TABLE = pd.DataFrame({name: values for name, (values, _) in COLUMNS.items()})
WRONG_BY_TYPE = {name: said for name, (_, said) in COLUMNS.items() if said}


def assert_can_be_passed(likelihood, table):
    """Fail unless all columns are read as likelihoods say, and in their domains."""
    vae = VAETransformer(likelihood=likelihood)
    _, known = learn_columns(vae, table, "error", BY_KIND)
    assert known.likelihood.build(table.shape[1]).n_features == table.shape[1]


def test_columns_are_what_they_were_drawn_as():
    assert suggest_likelihood(TABLE) == WRONG_BY_TYPE


def test_gaps_change_nothing():
    with_gaps = TABLE.mask(RANDOM.random(TABLE.shape) < 0.1)
    with_gaps["booleans"] = with_gaps["booleans"].astype("boolean")
    assert suggest_likelihood(with_gaps) == WRONG_BY_TYPE


def test_columns_without_anything_to_learn_are_named(capsys):
    assert suggest_likelihood(pd.DataFrame(DROPPED)) == {}
    head, _, dropped = capsys.readouterr().out.partition("Better dropped:\n")
    assert head == "likelihood={}\n"
    assert all(f"'{name}'" in dropped for name in DROPPED)


def test_every_column_has_a_reason(capsys):
    suggest_likelihood(TABLE.assign(**DROPPED))
    lines = capsys.readouterr().out.splitlines()
    for name in (*COLUMNS, *DROPPED):
        (line,) = (line for line in lines if f"'{name}'" in line)
        assert len(line.partition("#" if "#" in line else ": ")[2]) > 5


def test_what_is_printed_is_what_is_returned(capsys):
    likelihood = suggest_likelihood(TABLE)
    text = capsys.readouterr().out
    code = text[: text.index("}") + 1].removeprefix("likelihood=")
    assert eval(code) == likelihood


@pytest.mark.filterwarnings("ignore:Maximum iterations", r"ignore:\d of 2 components")
def test_suggestions_can_be_passed():
    rows = TABLE[:100]
    options = {"max_iter": 1, "hidden_layer_sizes": 4, "random_state": 0}
    vae = VAETransformer(2, likelihood=suggest_likelihood(TABLE), **options).fit(rows)
    assert np.isfinite(vae.score(rows))


def test_suggestions_for_a_hostile_table_can_be_passed(capsys):
    table = TABLE[["measured", "counts"]].assign(**DROPPED)
    table["mixed"] = [1, "one", 2.5, (3,)] * (N // 4)
    table["days"] = [pd.Timestamp("2026-01-01").date(), None] * (N // 2)
    table["infinite"] = np.where(np.arange(N) < 3, np.inf, table["measured"])
    suggested = suggest_likelihood(table)
    assert suggested == {"counts": "negative_binomial", "mixed": "categorical"}
    said = capsys.readouterr().out
    assert "3 infinite: put NaN in their place" in said
    assert "float, int, str, tuple as objects: convert them" in said
    table = table.replace(np.inf, np.nan).drop(columns=[*DROPPED, "days"])
    assert_can_be_passed(suggested, table)


def test_texts_that_are_numbers_or_dates_are_pointed_out(capsys):
    table = pd.DataFrame(
        {
            "number": ["1.5", "2.5", "1e3"] * 10,
            "date": ["2026-01-01", "2026-02-03", "2025-03-04"] * 10,
        }
    )
    suggest_likelihood(table)
    said = capsys.readouterr().out
    assert "pandas.to_numeric" in said
    assert "pandas.to_datetime" in said


def test_arrays_have_columns_by_position():
    X = np.column_stack([COLUMNS[name][0] for name in ("measured", "sizes", "poisson")])
    expected = {1: "log_normal", 2: "poisson"}
    assert suggest_likelihood(X) == expected
    assert suggest_likelihood(X.tolist()) == expected
    assert suggest_likelihood(scipy.sparse.csr_array(X)) == expected


def test_tables_of_polars_are_read():
    names = ["measured", "texts", "sizes", "counts", "booleans"]
    table = pl.from_pandas(TABLE[names])
    assert suggest_likelihood(table) == {
        name: WRONG_BY_TYPE[name] for name in ("sizes", "counts")
    }


def test_pixels_are_left_to_auto(capsys):
    assert suggest_likelihood(load_digits().data) == {}
    assert "and 55 more: gaussian, all columns have the same values" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("high", "kind", "expected"),
    [(1, bool, None), (1, int, "bernoulli"), (5, int, "ordinal"), (20, int, None)],
)
def test_answers_to_many_questions_are_no_pixels(high, kind, expected):
    X = np.random.default_rng(0).integers(high + 1, size=(N, 6)).astype(kind)
    wanted = {} if expected is None else dict.fromkeys(range(6), expected)
    assert suggest_likelihood(X) == wanted


def test_many_columns_are_not_all_printed(capsys):
    X = np.random.default_rng(0).poisson(2.0, size=(300, 90)) ** 2
    assert len(suggest_likelihood(np.c_[X, np.linspace(0.0, 9.9, 300)])) == 90
    assert "# and 40 more" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 12])
def test_few_rows_are_enough_to_ask(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suggest_likelihood(TABLE.assign(**DROPPED)[:rows])


@pytest.mark.parametrize(
    "values",
    [
        [1e308, -1e308, 0.0, 5.0] * 10,
        [5e-324, 1e-310, 1e-300, 2.0] * 10,
        np.full(40, 0.1) + 1e-17 * np.arange(40),
        1e16 + np.arange(40.0) ** 2,
        [np.inf, -np.inf, np.nan, 1.0] * 10,
        2.0**np.arange(-500, 500),
    ],
    ids=["huge", "tiny", "rounded", "large", "infinite", "all"],
)  # fmt: skip
def test_extreme_numbers_are_no_error(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suggest_likelihood(pd.DataFrame({"x": values}))


def test_rows_are_not_changed_and_their_order_is_no_matter():
    table = TABLE.copy()
    shuffled = table.sample(frac=1.0, random_state=0)
    assert suggest_likelihood(shuffled) == suggest_likelihood(table)
    pd.testing.assert_frame_equal(table, TABLE)


TARGETS = {
    load_iris: "ordinal",
    load_wine: "ordinal",
    load_breast_cancer: "bernoulli",
}


@pytest.mark.parametrize("load", TARGETS)
def test_suggestions_for_bundled_tables_can_be_passed(load):
    table = load(as_frame=True).frame
    likelihood = suggest_likelihood(table)
    assert likelihood["target"] == TARGETS[load]
    assert_can_be_passed(likelihood, table)


def test_suggestions_for_real_tables_can_be_passed(data_folder):
    paths = sorted((data_folder / "uci").glob("*.csv.gz"))
    if not paths:
        pytest.skip("the data sets are not there")
    for path in paths:
        table = pd.read_csv(path, nrows=600)
        assert_can_be_passed(suggest_likelihood(table), table)


def test_no_table_is_an_error():
    with pytest.raises(TypeError, match="DataFrame"):
        suggest_likelihood({"a": [1, 2]})
    with pytest.raises(ValueError, match="complex"):
        suggest_likelihood(pd.DataFrame({"a": [1j, 2j]}))

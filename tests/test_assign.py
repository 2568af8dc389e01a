"""Each column gets a likelihood: by type, name, position, or a list of both."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import make_column_selector

from skvae import VAETransformer, likelihoods
from skvae.likelihoods import (
    Bernoulli,
    Categorical,
    Columns,
    Gaussian,
    Ordinal,
    StudentT,
)
from skvae.likelihoods._assign import (
    BY_KIND,
    assign_likelihoods,
    fitted_likelihood,
    learn_columns,
)
from skvae.table import as_cells
from skvae.table._frames import read_layout

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

GENERATOR = np.random.default_rng(0)
N = 60
TABLE = {
    "age": GENERATOR.normal(40.0, 10.0, N),
    "visits": GENERATOR.integers(0, 9, N),
    "smokes": GENERATOR.random(N) < 0.3,
    "job": GENERATOR.choice(["baker", "smith", "pilot"], N),
    "grade": GENERATOR.integers(1, 6, N) * 10,
}
FRAME = pd.DataFrame(TABLE)
NUMBERED = FRAME[["age", "visits"]].set_axis([10, 20], axis=1)


def chosen(said, X=FRAME):
    layout = read_layout(as_cells(X) if isinstance(X, np.ndarray) else X)
    return assign_likelihoods(said, X, layout, BY_KIND)


def fitted(likelihood, X=FRAME):
    return VAETransformer(2, likelihood=likelihood, max_iter=2, tol=None).fit(X)


def by_spec(parts):
    return {repr(spec): columns for spec, columns in parts}


@pytest.mark.parametrize("library", [pd, pl])
def test_auto_goes_by_the_types_of_columns(library):
    parts = chosen("auto", library.DataFrame(TABLE))
    assert by_spec(parts) == {
        "Gaussian()": [0, 1, 4],
        "Bernoulli()": [2],
        "Categorical()": [3],
    }


def test_auto_of_one_kind_is_one_likelihood():
    assert by_spec(chosen("auto", np.ones((3, 2)))) == {"Gaussian()": [0, 1]}
    assert by_spec(chosen("auto", np.ones((3, 2), bool))) == {"Bernoulli()": [0, 1]}
    assert by_spec(chosen("auto", FRAME[["age", "visits"]])) == {"Gaussian()": [0, 1]}


def test_auto_never_looks_at_values():
    binary = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert by_spec(chosen("auto", binary)) == {"Gaussian()": [0, 1]}


def test_dict_names_columns_and_leaves_the_rest_to_their_types():
    parts = chosen({"visits": "poisson", "grade": Ordinal(), 0: "gaussian"})
    assert by_spec(parts) == {
        "Gaussian()": [0],
        "Poisson()": [1],
        "Bernoulli()": [2],
        "Categorical()": [3],
        "Ordinal()": [4],
    }


def test_keys_are_names_where_columns_have_integers_or_tuples_for_names():
    assert by_spec(chosen({20: "poisson"}, NUMBERED))["Poisson()"] == [1]
    with pytest.raises(ValueError, match="Column 1 must be a column of X"):
        chosen({1: "poisson"}, NUMBERED)
    several = NUMBERED.set_axis(
        pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]), axis=1
    )
    assert by_spec(chosen({("a", "y"): "poisson"}, several))["Poisson()"] == [1]
    parts = chosen([("poisson", [("a", "y")])], several)
    assert by_spec(parts) == {"Poisson()": [1], "Gaussian()": [0]}


def test_equal_likelihoods_of_a_dict_are_one_part():
    parts = chosen({"age": StudentT(), "grade": StudentT()}, FRAME.drop(columns="job"))
    assert by_spec(parts)["StudentT()"] == [0, 3]


def test_list_chooses_columns_as_column_transformer_does():
    numbers = make_column_selector(dtype_include="number")
    parts = chosen([("student_t", numbers), ("categorical", "job")])
    assert [columns for _, columns in parts] == [[0, 1, 4], [3], [2]]
    mask = [False, True, False, False, True]
    parts = chosen([("poisson", mask), (StudentT(), slice(0, 1))])
    assert [columns for _, columns in parts] == [[1, 4], [0], [2], [3]]


def test_parts_of_a_list_stay_apart():
    X = np.ones((3, 4))
    parts = chosen([(Gaussian(), [0, 1]), (Gaussian(), [2, 3])], X)
    assert [columns for _, columns in parts] == [[0, 1], [2, 3]]


def test_columns_object_is_taken_by_name():
    said = Columns(
        [("gaussian", ["age", "visits", "grade"]), (Bernoulli(), ["smokes"])]
    )
    parts = chosen(said, FRAME.drop(columns="job"))
    assert [columns for _, columns in parts] == [[0, 1, 3], [2]]


@pytest.mark.parametrize("wrap", [dict, Columns])
def test_equal_likelihoods_of_a_dict_are_one_part_in_columns_too(wrap):
    said = {"grade": "gaussian", "visits": "poisson", "age": Gaussian()}
    parts = chosen(wrap(said), FRAME[["age", "visits", "grade"]])
    assert by_spec(parts) == {"Gaussian()": [0, 2], "Poisson()": [1]}


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ({"job": "gaussian"}, r"Gaussian\(\) requires numbers.*'job'.*'categorical'"),
        ("gaussian", r"Gaussian\(\) requires numbers.*'job'"),
        ({"job": "nominal"}, r"must be one of.*categorical.*Got 'nominal'"),
        ({"work": "categorical"}, "work"),
        (
            [("gaussian", [0, 1]), ("poisson", [1])],
            "Got 2 for column 'visits'",
        ),
        (
            Columns([("gaussian", ["age"])]),
            "requires one likelihood. Got 0 for column 'visits'",
        ),
    ],
)
def test_wrong_choice_is_refused(likelihood, message):
    with pytest.raises(ValueError, match=message):
        fitted(likelihood)


def test_columns_without_observed_cells_are_warned_of_by_name():
    with pytest.warns(UserWarning, match="Got none in column 'visits'.*Drop it"):
        learned("auto", FRAME.assign(visits=np.nan))


@pytest.mark.parametrize("library", [pd, pl])
def test_tables_come_back_with_the_same_types(library):
    frame = library.DataFrame(TABLE)
    vae = fitted("auto", frame)
    types = dict(zip(frame.columns, frame.dtypes, strict=True))
    for back in (
        vae.inverse_transform(vae.transform(frame)),
        vae.sample(5, random_state=0),
        vae.impute(frame),
        vae.impute(frame, n_draws=2)[1],
    ):
        assert isinstance(back, library.DataFrame)
        assert dict(zip(back.columns, back.dtypes, strict=True)) == types
        assert set(back["job"]) <= set(TABLE["job"])


def test_labels_of_pandas_rows_come_back():
    frame = FRAME.set_axis([f"row {i}" for i in range(N)])
    vae = fitted("auto", frame).set_output(transform="pandas")
    Z = vae.transform(frame[:7])
    assert vae.inverse_transform(Z).index.equals(frame.index[:7])
    assert vae.impute(frame[3:5]).index.equals(frame.index[3:5])


def test_set_output_governs_coordinates_alone():
    vae = fitted("auto").set_output(transform="polars")
    Z = vae.transform(FRAME)
    assert isinstance(Z, pl.DataFrame)
    assert isinstance(vae.inverse_transform(Z), pd.DataFrame)


def test_array_of_another_package_is_refused_where_columns_are_mixed():
    with pytest.raises(ValueError, match=r"must be a DataFrame.*Got ndarray"):
        fitted("auto").transform(FRAME.to_numpy())


def test_levels_of_an_array_come_back_as_they_were():
    X = np.c_[TABLE["age"], TABLE["grade"]]
    vae = fitted({1: "ordinal"}, X)
    assert set(vae.sample(50, random_state=0)[:, 1]) <= {10.0, 20.0, 30.0, 40.0, 50.0}
    with pytest.raises(ValueError, match=r"Column 1 must hold categories.*Got 55.0"):
        vae.transform([[40.0, 55.0]])


def test_category_of_the_type_that_no_row_had_is_known():
    job = pd.Categorical(TABLE["job"], ["baker", "smith", "pilot", "judge"])
    vae = fitted("auto", FRAME.assign(job=job))
    new = FRAME[:1].assign(job=pd.Categorical(["judge"], job.categories))
    assert np.isfinite(vae.score_samples(new)).all()


def test_unknown_category_is_missing_when_asked():
    new = FRAME[:2].assign(job=["judge", "smith"])
    vae = fitted("auto")
    with pytest.raises(ValueError, match=r"'job'.*Got 'judge' in row 0"):
        vae.transform(new)
    vae.set_params(handle_unknown="missing")
    absent = new.assign(job=[None, "smith"])
    np.testing.assert_array_equal(vae.transform(new), vae.transform(absent))
    np.testing.assert_array_equal(vae.missing_cells(new).sum(axis=0), [0, 0, 0, 1, 0])


def test_score_of_mixed_columns_is_in_original_units():
    vae = fitted("auto")
    moved = FRAME.assign(age=1000.0 * FRAME["age"])
    other = fitted("auto", moved)
    expected = vae.set_params(random_state=0).fit(FRAME).score_samples(FRAME)
    got = other.set_params(random_state=0).fit(moved).score_samples(moved)
    np.testing.assert_allclose(got, expected - np.log(1000.0), rtol=1e-4)


def test_warm_start_with_another_likelihood_is_refused():
    vae = VAETransformer(2, max_iter=1, tol=None, warm_start=True).fit(
        TABLE["age"][:, None]
    )
    vae.set_params(likelihood="student_t")
    with pytest.raises(ValueError, match="likelihood of the fitted model"):
        vae.fit(TABLE["age"][:, None])


def test_number_of_categories_stands_for_codes_that_did_not_occur():
    X = np.c_[TABLE["age"], np.arange(N) % 3]
    vae = fitted({1: Categorical(n_categories=5)}, X)
    assert repr(vae.likelihood_.parts[1][0]) == "Categorical(n_categories=[5])"
    assert set(vae.sample(2000, random_state=0)[:, 1]) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert np.isfinite(vae.score_samples([[40.0, 4.0]])).all()


@pytest.mark.parametrize("n", [2, 5])
def test_number_of_categories_of_text_is_that_of_its_type_or_cells(n):
    with pytest.raises(ValueError, match=r"n_categories .*'job', 3. Got \d. Set n_cat"):
        fitted({"job": Categorical(n_categories=n)})


LEVELS = ["low", "mid", "high"]
GRADES = np.array(LEVELS)[np.arange(N) % 3]


def test_order_that_a_type_states_is_kept():
    grade = pd.Series(pd.Categorical(GRADES, LEVELS, ordered=True))
    assert by_spec(chosen("auto", FRAME.assign(grade=grade)))["Ordinal()"] == [4]
    known = learned("auto", grade.to_frame("grade"))
    assert known.layout.columns[0].categories.tolist() == LEVELS
    enum = pl.DataFrame({"g": pl.Series(GRADES, dtype=pl.Enum(LEVELS))})
    assert repr(learned("auto", enum).likelihood) == "Categorical(n_categories=[3])"
    known = learned("ordinal", enum)
    assert repr(known.likelihood) == "Ordinal(n_levels=[3])"
    assert known.layout.columns[0].categories.tolist() == LEVELS


@pytest.mark.parametrize(
    "grade",
    [GRADES, pd.Categorical(GRADES, LEVELS)],
    ids=["text", "unordered categories"],
)
def test_order_that_would_be_guessed_is_refused(grade):
    with pytest.raises(ValueError, match=r"order would be a guess\..*ordered=True"):
        fitted({"grade": "ordinal"}, FRAME.assign(grade=grade))


@pytest.mark.parametrize("grade", [TABLE["grade"], pd.Categorical(TABLE["grade"])])
def test_numbers_have_an_order(grade):
    known = learned({"grade": "ordinal"}, FRAME.assign(grade=grade))
    assert known.layout.columns[4].categories.tolist() == [10, 20, 30, 40, 50]


def test_identifiers_are_warned_of():
    frame = FRAME.assign(id=[f"row {i}" for i in range(N)])
    with pytest.warns(UserWarning, match="'id' looks like an identifier: its 60 texts"):
        learned("auto", frame)


# What the fitted likelihood says

WIDE = pd.DataFrame({f"c{j}": np.arange(N) % (2 + j % 5) for j in range(70)})
ROUND_TRIPS = {
    "auto": ("auto", FRAME),
    "dict": ({"visits": "poisson", "grade": "ordinal"}, FRAME),
    "apart": ([(StudentT(), ["grade", "age"]), ("gaussian", ["visits"])], FRAME),
    "one part": ("auto", FRAME[["age", "visits"]]),
    "array": ({1: "ordinal"}, np.c_[TABLE["age"], TABLE["grade"]]),
    "numbers for names": ({20: "poisson"}, NUMBERED),
    "many codes": ("ordinal", WIDE),
    "many columns": ({f"c{j}": "categorical" for j in range(40)}, WIDE),
}


def learned(likelihood, X):
    estimator = VAETransformer(likelihood=likelihood)
    return learn_columns(estimator, X, "error", BY_KIND)[1]


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_repr_of_the_fitted_likelihood_gives_the_same_fit(name):
    said, X = ROUND_TRIPS[name]
    known = learned(said, X)
    fitted = fitted_likelihood(known)
    again = learned(eval(repr(fitted), vars(likelihoods)), X)
    assert repr(again.likelihood) == repr(known.likelihood)
    assert repr(fitted_likelihood(again)) == repr(fitted)


def test_fitted_likelihood_names_the_columns_of_a_table():
    fitted = fitted_likelihood(learned({"visits": "poisson"}, FRAME))
    assert by_spec(fitted.parts) == {
        "Gaussian()": ["age", "grade"],
        "Poisson()": ["visits"],
        "Bernoulli()": ["smokes"],
        "Categorical(n_categories=[3])": ["job"],
    }


@pytest.mark.parametrize(
    ("name", "X"), [(1, FRAME[["age", "visits"]].values), (20, NUMBERED)]
)
def test_fitted_likelihood_goes_by_position_without_names(name, X):
    fitted = fitted_likelihood(learned({name: "poisson"}, X))
    assert by_spec(fitted.parts) == {"Gaussian()": [0], "Poisson()": [1]}


def test_fitted_likelihood_of_all_columns_is_that_alone():
    assert repr(fitted_likelihood(learned("auto", FRAME[["age"]]))) == "Gaussian()"

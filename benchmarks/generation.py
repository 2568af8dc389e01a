"""Generated rows: can they be told from real ones, and are they of use?

Tables have their label as a column. A row is a list of numbers, with codes for the
categories of the columns that `coded` names.
"""

import claims
import data
import numpy as np
from harness import Method, scalars
from pages import table

CLASSES = (
    *("iris", "wine", "breast_cancer", "banknote", "cardio", "thyroid", "magic.gamma"),
)
NUMBERS = "yacht", "energy", "concrete", "wine_red", "wine_white", "kin8nm"
MIXED = ("adult",)
OWN, KEPT, TREES = "skvae", "skvae, posterior", "sequential trees"
NEAR, MIXTURE, KDE, REAL = "interpolation", "mixture", "kernel density", "real rows"
TVAE = "TVAE"
N_TRAIN, N_TEST = 2500, 1000
LEAST_SKILL = 0.1

CASES = [(name, "") for name in (*CLASSES, *NUMBERS, *MIXED)]
METHODS = {
    REAL: Method("generation:real"),
    OWN: Method("generation:own"),
    KEPT: Method("generation:own", {"sampler": "posterior"}),
    TREES: Method("generation:trees"),
    NEAR: Method("generation:interpolated"),
    MIXTURE: Method("generation:mixture"),
    KDE: Method("generation:kernels"),
    TVAE: Method("peers:deep_rows", {"model": TVAE}, "ctgan"),
}
N_SEEDS, N_THREADS = 3, 1


def load(name):
    """Return rows of numbers and codes, and which columns hold codes."""
    if name in MIXED:
        import pandas as pd

        frame = pd.read_csv(data.folder() / "uci" / f"{name}.csv.gz")
        frame = frame.drop(columns="split").dropna()
        coded = ~frame.columns.isin(frame.select_dtypes("number").columns)
        for column in frame.columns[coded]:
            frame[column] = pd.factorize(frame[column], sort=True)[0]
        return frame.to_numpy(float), coded
    X, y = data.load(name)
    if name in CLASSES:
        X = np.column_stack((X, np.unique(y, return_inverse=True)[1]))
    coded = np.arange(X.shape[1]) == (X.shape[1] - 1 if name in CLASSES else -1)
    return X, coded


def problem(case, max_rows):
    """Return training rows, and rows to compare with."""
    X, coded = load(case.data)
    order = np.random.default_rng(case.seed).permutation(len(X))
    n_train = min(max_rows or N_TRAIN, len(X) * 5 // 7)
    n_test = min(N_TEST, len(X) - n_train)
    train, test = X[order[:n_train]], X[order[n_train : n_train + n_test]]
    varies = np.ptp(train, axis=0) > 0.0
    known = {"X": train[:, varies], "X_test": test[:, varies]}
    return known | {"coded": coded[varies], "n": n_test, "seed": case.seed}


def framed(rows, coded):
    """Return rows as a DataFrame with categories."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=[f"c{j}" for j in range(rows.shape[1])])
    for name in frame.columns[coded]:
        frame[name] = "v" + frame[name].astype(int).astype(str)
    return frame


def real(problem):
    """Return training rows: the best that can be expected."""
    random = np.random.default_rng(problem.seed)
    return {"rows": random.permutation(problem.X)[: problem.n]}


def own(problem):
    """Draw from the model with defaults but for the number of components."""
    from skvae import VAETransformer

    sampler = getattr(problem, "sampler", "auto")
    frame = framed(problem.X, problem.coded)
    model = VAETransformer("auto", sampler=str(sampler), random_state=problem.seed)
    drawn = model.fit(frame).sample(problem.n, random_state=problem.seed)
    for name in frame.columns[problem.coded]:
        drawn[name] = drawn[name].str[1:]
    return {"rows": drawn.to_numpy(float)}


def trees(problem):
    """Draw each column from the leaves of a tree on the columns before it."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    random, X = np.random.default_rng(problem.seed), problem.X
    rows = np.empty((problem.n, X.shape[1]))
    rows[:, 0] = random.choice(X[:, 0], problem.n)
    for j in range(1, X.shape[1]):
        kind = DecisionTreeClassifier if problem.coded[j] else DecisionTreeRegressor
        tree = kind(min_samples_leaf=5, random_state=problem.seed)
        leaves = tree.fit(X[:, :j], X[:, j]).apply(X[:, :j])
        found = tree.apply(rows[:, :j])
        for leaf in np.unique(found):
            here = found == leaf
            rows[here, j] = random.choice(X[leaves == leaf, j], here.sum())
    return {"rows": rows}


def interpolated(problem):
    """Go part of the way from a row to one of its five neighbors, as SMOTE does."""
    from sklearn.neighbors import NearestNeighbors

    random, X = np.random.default_rng(problem.seed), problem.X
    scale = np.where(problem.coded, 1.0, X.std(axis=0))
    near = NearestNeighbors(n_neighbors=6).fit(X / scale)
    chosen = random.choice(len(X), problem.n)
    others = near.kneighbors(X[chosen] / scale)[1][:, 1:]
    other = X[others[np.arange(problem.n), random.integers(0, 5, problem.n)]]
    way = random.random((problem.n, 1))
    rows = X[chosen] + way * (other - X[chosen])
    return {"rows": np.where(problem.coded, X[chosen], rows)}


def mixture(problem):
    """Draw from a mixture of the least BIC; codes are rounded."""
    from sklearn.mixture import GaussianMixture

    X, scale = problem.X, problem.X.std(axis=0)
    models = [
        GaussianMixture(n, random_state=problem.seed, reg_covar=1e-4)
        for n in (1, 2, 4, 8, 16)
        if n * 5 <= len(X)
    ]
    best = min(models, key=lambda model: model.fit(X / scale).bic(X / scale))
    return {"rows": _rounded(best.sample(problem.n)[0] * scale, problem)}


def kernels(problem):
    """Draw from a kernel density; codes are rounded."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KernelDensity

    X, scale = problem.X, problem.X.std(axis=0)
    search = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.05, 2.0, 12)})
    best = search.fit(X / scale).best_estimator_
    drawn = best.sample(problem.n, random_state=problem.seed)
    return {"rows": _rounded(drawn * scale, problem)}


def _rounded(rows, problem):
    low, high = problem.X.min(axis=0), problem.X.max(axis=0)
    return np.where(problem.coded, np.rint(rows).clip(low, high), rows)


def measure(case, problem, answer):
    """Return how generated rows differ from real ones."""
    from skvae.inspection import compare_rows

    rows = answer.pop("rows")
    train, test = (framed(problem[name], problem["coded"]) for name in ("X", "X_test"))
    found = compare_rows(
        test, framed(rows, problem["coded"]), train=train, target=train.columns[-1]
    )
    measures = {
        "auc": found.auc,
        "skill": found.skill,
        "skill_train": found.skill_train,
        "closest": found.closest_ratio,
        "copies": found.copies,
        "copies_real": found.copies_real,
        "outside": float(np.nanmean(found.columns["outside"])),
    }
    return scalars(answer) | {name: float(value) for name, value in measures.items()}


def shown(results, measure):
    """Return the means of a measure, of the tables for which all methods drew rows."""
    return results.table(measure, METHODS).dropna()


def skills(results):
    """Return the skill of generated over that of real training rows, in percent."""
    skill = shown(results, "skill")
    real = results.table("skill_train", [OWN])[OWN][skill.index]
    known = real >= LEAST_SKILL
    return 100.0 * skill[known].div(real[known], axis=0).drop(columns=REAL)


def verdicts(results):
    """Return the claims by name."""
    auc, skills_found = shown(results, "auc"), skills(results)
    skill, ahead = skills_found.mean(), skills_found[OWN] > skills_found[TVAE]
    below, apart = auc[OWN] < auc[TREES], shown(results, "closest")[OWN] >= 0.6
    missed = 0.95 * skill[TREES] - skill[OWN]
    return {
        "auc": claims.at_most("mean AUC of defaults", auc[OWN].mean(), 0.62),
        "kept": claims.at_most("mean AUC of the posterior", auc[KEPT].mean(), 0.60),
        "trees": claims.fraction("AUC below that of trees", below, 1 / 3),
        "closest": claims.fraction("ratio of distances at least 0.6", apart, 1.0),
        "skill": claims.at_most("mean skill below 95 % of that of trees", missed, 0.0),
        "tvae": claims.fraction("skill above that of TVAE", ahead, 1.0),
    }


def fields(results):
    """Return what fills the page."""
    auc = shown(results, "auc")
    seconds = results.table("cpu", METHODS).loc[auc.index]
    return {
        "auc": table(auc, "table", 2),
        "means": table(auc.mean().to_frame("mean").T, "", 3),
        "skill": table(skills(results), "table", 0),
        "closest": table(shown(results, "closest"), "table", 2),
        "outside": table(shown(results, "outside"), "table", 3),
        "seconds": table(seconds, "table"),
    }

"""What the results of the quality benchmark say about the claims."""

import json

import pandas as pd
from _page import write_page

CASE = ["dataset", "role", "k", "seed"]
OWN = ("vae", "autoencoder")
ROUNDING = 1e-4
"""Difference of two R2 that float32 arithmetic alone can make."""
TIE = 1e-4
"""Difference in nats of the same linear model that float32 arithmetic can make."""


def read(path, datasets):
    """Return the newest line of each fit; failed fits of other packages are left out.

    A failed fit of this package stays, without measures, and so fails every claim.
    """
    rows = pd.DataFrame(map(json.loads, path.read_text().splitlines()))
    rows = rows[rows["dataset"].isin(datasets)]
    if "pca" not in set(rows["method"]):
        raise SystemExit(f"{path} must hold fits of pca, but has none: run them first.")
    rows = rows.drop_duplicates(["dataset", "k", "seed", "method"], keep="last")
    if "error" not in rows:
        rows["error"] = None
    failed = rows["error"].notna()
    for row in rows[failed].itertuples():
        print(f"failed: {row.dataset} k={row.k} seed={row.seed} {row.method}: ", end="")
        print(row.error)
    return rows[~failed | rows["method"].isin(OWN)]


class Cases:
    """The results with a row per case, and a series per measure and method."""

    def __init__(self, rows):
        self.rows = rows.assign(ran=1.0)
        self.wide = self.rows.set_index([*CASE, "method"]).unstack("method")

    def get(self, measure, method):
        """Return a measure of the cases in which a method ran."""
        if ("ran", method) not in self.wide:
            return pd.Series(dtype=float, index=self.wide.index[:0])
        ran = self.wide["ran", method].notna()
        if (measure, method) not in self.wide:
            return pd.Series(float("nan"), index=self.wide.index)[ran]
        return self.wide[measure, method][ran].astype(float)

    def pair(self, one, other):
        """Return two measures, each (measure, method), of the cases that have both."""
        a, b = self.get(*one), self.get(*other)
        both = a.index.intersection(b.index)
        return a[both], b[both]


def claims(cases):
    """Return each claim: whether it holds in each case, and the share that it needs."""

    def holds(one, other, slack=0.0, strictly=False):
        a, b = cases.pair(one, other)
        return a > b if strictly else a >= b - slack

    gain, error = cases.pair(("gain", "vae"), ("gain_se", "vae"))
    vae, pca, ae = ("r2", "vae"), ("r2", "pca"), ("r2", "autoencoder")
    agree = cases.get("procrustes", "vae").dropna()
    answer = {
        "VAE log-likelihood >= PPCA's - 1 s.e.": (gain >= -error - TIE, 1.0),
        "VAE log-likelihood > PPCA's": (gain > 0, 0.9),
        "VAE R2 >= PPCA's": (holds(vae, ("r2_posterior", "pca"), ROUNDING), 1.0),
        "VAE R2 > PCA's": (holds(vae, pca, strictly=True), 0.85),
        "VAE R2 >= PCA's - .03": (holds(vae, pca, 0.03), 1.0),
        "AE R2 >= PCA's - .01": (holds(ae, pca, 0.01), 1.0),
        "AE R2 > PCA's": (holds(ae, pca, strictly=True), 0.9),
        "no unintended collapse": (
            holds(("n_active", "vae"), ("n_signal", "pca")),
            1.0,
        ),
        "seeds agree, Procrustes R2 >= .9": (agree >= 0.9, 0.8),
    }
    for peer in ("classic", "pythae"):
        better = holds(("loglik", "vae"), ("loglik", peer), strictly=True)
        answer[f"VAE log-likelihood > {peer}'s"] = (better, 0.95)
    for peer in ("encdr", "encdr_vae", "mlp", "pyod"):
        better = holds(vae, ("r2", peer), strictly=True)
        answer[f"VAE R2 > {peer}'s"] = (better, 0.95)
    return {name: claim for name, claim in answer.items() if len(claim[0])}


def asides(cases):
    """Return shares that no claim is made about."""

    def share(measure, one, other):
        a, b = cases.pair((measure, one), (measure, other))
        known = a.notna() & b.notna()
        return (a > b)[known]

    pairs = [
        ("r2", "vae", "pythae"),
        ("r2", "vae", "classic"),
        ("r2", "autoencoder", "encdr"),
        ("r2", "autoencoder", "mlp"),
        ("loglik", "vae", "factor_analysis"),
        ("trustworthiness", "vae", "pca"),
        ("trustworthiness", "vae", "umap"),
        ("continuity", "vae", "umap"),
        ("knn", "vae", "pca"),
        ("knn", "vae", "autoencoder"),
        ("knn", "vae", "classic"),
    ]
    answer = {f"{one} {m} > {other}'s": share(m, one, other) for m, one, other in pairs}
    return {name: better for name, better in answer.items() if len(better)}


def _by_role(better):
    """Return the share in each role, as text."""
    roles = better.groupby(level="role")
    return ", ".join(f"{role} {x.mean():.1%} of {len(x)}" for role, x in roles)


def summary(cases):
    """Return the lines that say whether the claims hold."""
    lines = []
    for name, (holds, needed) in claims(cases).items():
        verdict = "ok  " if holds.mean() >= needed else "FAIL"
        lines.append(
            f"{verdict} {name}: {holds.mean():.1%} of {len(holds)} "
            f"(needed {needed:.0%}; {_by_role(holds)})"
        )
    a, b = cases.pair(("r2", "vae"), ("r2", "pca"))
    if len(a) and (a - b).notna().any():
        lines.append(f"     least VAE R2 - PCA R2: {(a - b).min():.4f}")
    for name, better in asides(cases).items():
        lines.append(f"     {name}: {better.mean():.1%} ({_by_role(better)})")
    for dataset, most in (("iris", 1.5), ("digits", 10)):
        seconds = cases.rows.query("dataset == @dataset and method == 'vae'")["seconds"]
        if len(seconds):
            text = f"     VAE fit of {dataset}: {seconds.max():.1f} s"
            lines.append(f"{text} at most (aim {most} s)")
    return lines


def _shown(cases, row):
    """Return the measures that the claims are about, of one case."""
    names = ["gain", "gain_se", "r2", "n_active", "procrustes"]
    wanted = [(m, "vae") for m in names] + [("r2", m) for m in ("autoencoder", "pca")]
    wanted += [("r2_posterior", "pca"), ("n_signal", "pca")]
    values = {f"{m} {who}": cases.get(m, who).get(row) for m, who in wanted}
    return ", ".join(f"{k} {v:.4g}" for k, v in values.items() if pd.notna(v))


def failures(cases):
    """Return a line per claim and case that breaks it, in the order of the claims."""
    lines = []
    for name, (holds, needed) in claims(cases).items():
        if needed < 1 and holds.mean() >= needed:
            continue
        for row in holds[~holds].index:
            dataset, _, k, seed = row
            where = f"{name}: {dataset} k={k} seed={seed}"
            lines.append(f"{where} ({_shown(cases, row)})")
    return lines


def report(path, folder, datasets):
    """Print the verdict on the results and write the page and its figure."""
    cases = Cases(read(path, datasets))
    lines = summary(cases)
    print("\n".join(lines))
    broken = failures(cases)
    print(f"\n{len(broken)} times a case breaks a claim")
    print("\n".join(broken))
    folder.mkdir(parents=True, exist_ok=True)
    write_page(cases, lines, folder)

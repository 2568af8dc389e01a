"""What the results of the speed benchmark say about the claims."""

import json

import pandas as pd
from _speed_page import write_page

MOST_FOREIGN = 0.05
"""Share of the machine's CPUs that others may take; more marks a measurement."""

XLA = ("keras_jax", "jax")
TORCH = ("pythae", "pyod", "skorch", "lightning", "keras_torch")
PEERS = (*XLA, *TORCH, "torch")

CASE = ["measure", "job", "variant", "changes", "batch_size"]
SHAPE = ["n_rows", "n_columns", "n_components"]

QUANTITIES = (
    *("epoch", "first_epoch", "fit", "peak_mb", "data_mb", "cross_entropy"),
    *("encode", "decode", "sample", "encode64", "decode64", "sample64"),
    *("import", "first_fit", "curve", "final", "relative_error", "error"),
)
"""What a line of the results may tell."""

STATES_OF_ADAM = 4
"""Weights, gradient and two moments: what a model being trained holds."""


def read(path):
    """Return the newest line of each measurement, an undisturbed one if there is any.

    Measurements that others disturbed are left out where the same case has some that
    they did not disturb; where it has none they stay, as nothing better is known.
    """
    lines = pd.DataFrame(map(json.loads, path.read_text().splitlines()))
    lines = lines.reindex(columns=lines.columns.union(QUANTITIES, sort=False))
    for line in lines[lines["error"].notna()].itertuples():
        print(f"failed: {line.measure} {line.job}, {line.batch_size}: {line.error}")
    lines = lines[lines["error"].isna()]
    lines = lines.assign(
        clean=lines["foreign"] <= MOST_FOREIGN,
        start=lines["import"] + lines["first_fit"],
    )
    lines = lines.sort_values("clean", kind="stable")
    lines = lines.drop_duplicates([*CASE, *SHAPE, "round"], keep="last")
    some_clean = lines.groupby([*CASE, *SHAPE])["clean"].transform("any")
    return lines[lines["clean"] | ~some_clean]


class Results:
    """Medians over rounds, and ratios of measurements of the same round."""

    def __init__(self, lines):
        self.lines = lines

    def clean(self):
        """Return the results that other processes left alone."""
        return Results(self.lines[self.lines["clean"]])

    def rounds(self, quantity, job, measure, batch_size=None, variant=""):
        """Return the values of a quantity, indexed by round."""
        mine = self._of(job, measure, batch_size, variant)
        return mine.set_index("round")[quantity].dropna()

    def _of(self, job, measure, batch_size=None, variant=""):
        lines = self.lines
        mine = (lines["measure"] == measure) & (lines["job"] == job)
        mine &= (lines["variant"] == variant) & (lines["changes"] == "")
        if batch_size is not None:
            mine &= lines["batch_size"] == batch_size
        return lines[mine]

    def undisturbed(self, *what):
        """Return whether the rounds are ones that other processes left alone."""
        return bool(self._of(*what)["clean"].all())

    def median(self, *what, **more):
        """Return the median over rounds, NaN where there is none."""
        return self.rounds(*what, **more).median()

    def ratio(self, quantity, one, other, *what, other_quantity=None):
        """Return the median over rounds of one package's value by another's."""
        ours = self.rounds(quantity, one, *what)
        theirs = self.rounds(other_quantity or quantity, other, *what)
        return (ours / theirs).dropna().median()

    def best(self, quantity, peers, *what, most=False):
        """Return the peer whose median is least, or greatest."""
        medians = pd.Series(
            {peer: self.median(quantity, peer, *what) for peer in peers}
        )
        if medians.isna().all():
            return None
        return medians.idxmax() if most else medians.idxmin()


def training_claims(results):
    """Return (what is claimed, ratio, bound), each ratio to be at most its bound."""
    rows = []

    def claim(text, other, batch_size, bound):
        if other is not None:
            ratio = results.ratio("epoch", "skvae", other, "train", batch_size)
            rows.append((f"{text}, batch {batch_size}", ratio, bound))

    for batch_size, bound in ((100, 0.95), (512, 0.85), (4096, 0.75)):
        peer = results.best("epoch", XLA, "train", batch_size)
        claim(f"epoch / {peer}'s, the fastest on XLA", peer, batch_size, bound)
    for peer in TORCH:
        claim(f"epoch / {peer}'s", peer, 100, 0.4)
    for batch_size, bound in ((100, 1.7), (4096, 1.25)):
        claim("epoch / matrix products alone", "floor", batch_size, bound)
    return rows


def answer_claims(results):
    """Return the claims about rows per second; inverse ratios, so that less is better.

    Float64 answers are set beside the peers' float32 ones.
    """
    rows = []
    for quantity, factor in (("encode", 2.0), ("decode", 1.5)):
        peer = results.best(quantity, PEERS, "answers", most=True)
        for mine, least in ((quantity, factor), (f"{quantity}64", 0.5)):
            if peer is not None:
                what = {"other_quantity": mine}
                ratio = results.ratio(quantity, peer, "skvae", "answers", **what)
                text = f"seconds of {mine} / {peer}'s, the fastest at float32"
                rows.append((text, ratio, 1 / least))
    return rows


def memory_claims(results):
    """Return the claims about memory and start-up."""
    rows = []
    # Of 784-256-2-256-784: weights and biases, 4 bytes each.
    weights = 4e-6 * (784 * 256 + 256 + 257 * 4 + 3 * 256 + 256 * 784 + 784)
    for batch_size in (100, 512, 4096):
        what = ("train", batch_size)
        data = results.median("data_mb", "skvae", *what)
        peak = results.median("peak_mb", "skvae", *what)
        bound = 1.3 + STATES_OF_ADAM * weights / data
        rows.append((f"peak memory / data, batch {batch_size}", peak / data, bound))
        peer = results.best("peak_mb", PEERS, *what)
        if peer is not None:
            ratio = results.ratio("peak_mb", "skvae", peer, *what)
            text = f"peak memory / {peer}'s, the least, batch {batch_size}"
            rows.append((text, ratio, 1.0))
    seconds = results.median("first_fit", "skvae", "start")
    rows.append(("first fit of iris / 0.1 s", seconds / 0.1, 1.0))
    peer = results.best("start", PEERS, "start")
    if peer is not None:
        ratio = results.ratio("start", "skvae", peer, "start")
        rows.append((f"import and first fit / {peer}'s, the fastest", ratio, 1.0))
    return rows


def verdict(text, ratio, bound):
    """Return whether a claim holds, as a line."""
    if pd.isna(ratio):
        return f"? {text}: no undisturbed round tells"
    word = "ok" if ratio <= bound else "FAIL"
    return f"{word} {text}: {ratio:.2f} (at most {bound:.2f})"


def report(path, folder):
    """Print the verdict on the results and write the page and its figure."""
    results = Results(read(path))
    clean = results.clean()
    claims = training_claims(clean) + answer_claims(clean) + memory_claims(clean)
    verdicts = [verdict(*claim) for claim in claims]
    print("\n".join(verdicts))
    folder.mkdir(parents=True, exist_ok=True)
    write_page(results, verdicts, MOST_FOREIGN, folder)

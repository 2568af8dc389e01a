"""The parameters of the estimators, by how often they are set."""

import inspect

import skvae

OFTEN = "You will set"
TUNED = "You may tune"
RARE = "Rarely"

SETTINGS = {
    OFTEN: ("n_components", "likelihood", "random_state"),
    TUNED: (
        *("objective", "beta", "prior", "sampler", "hidden_layer_sizes", "max_iter"),
        *("hidden_fraction", "handle_unknown", "verbose"),
    ),
    RARE: (
        *("encoder", "decoder", "activation", "init", "solver", "learning_rate"),
        *("batch_size", "max_time", "tol", "early_stopping", "validation_fraction"),
        *("n_iter_no_change", "warm_start", "device"),
    ),
}

ALL = {
    **dict.fromkeys(("VAETransformer", "AutoencoderTransformer"), SETTINGS),
    "VAEImputer": {
        OFTEN: ("likelihood", "random_state"),
        TUNED: ("n_components", "statistic", "max_iter", "handle_unknown", "verbose"),
        RARE: ("estimator", "n_proposals", "add_indicator"),
    },
    "VAEOutlierDetector": {
        OFTEN: ("contamination", "likelihood", "random_state"),
        TUNED: ("n_components", "trim", "max_iter", "handle_unknown", "verbose"),
        RARE: ("estimator", "n_draws"),
    },
}
"""Class → group → parameters. A class has those of `SETTINGS` that it takes."""


def groups_of(name):
    """Return (group, parameters) pairs of an estimator; none of other classes."""
    if name not in ALL:
        return []
    taken = inspect.signature(getattr(skvae, name)).parameters
    groups = ALL[name].items()
    return [(group, [p for p in names if p in taken]) for group, names in groups]

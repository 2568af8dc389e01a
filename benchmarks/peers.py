"""Methods of other packages, each called in an environment that holds its package.

Each package is called as its documentation says, with nothing set but the number of
components, the seed and what keeps it quiet and on the CPU. Problems and answers are
those of `fits.py`.
"""

import logging
import tempfile

import numpy as np
from worker import timed


def umap(problem):
    """Fit UMAP on standardized columns; it has no fast way back to rows."""
    from umap import UMAP

    mean, scale = problem.X.mean(0), problem.X.std(0)
    model = UMAP(n_components=problem.k, random_state=problem.seed)
    train, seconds = timed(model.fit_transform, (problem.X - mean) / scale)
    return {
        "train": train,
        "test": model.transform((problem.X_test - mean) / scale),
    } | seconds


def pyod(problem):
    """Fit pyod's VAE, which standardizes the columns itself."""
    import torch
    from pyod.models.vae import VAE

    model = VAE(
        latent_dim=problem.k, random_state=problem.seed, verbose=0, device="cpu"
    )
    seconds = timed(model.fit, problem.X)[1]
    network = model.model.eval()

    def encode(rows):
        return network.encode(
            torch.as_tensor((rows - model.X_mean) / model.X_std).float()
        )[0]

    with torch.no_grad():
        train, test = encode(problem.X), encode(problem.X_test)
        back = network.decode(test).numpy() * model.X_std + model.X_mean
    return {"train": train.numpy(), "test": test.numpy(), "back": back} | seconds


def pythae(problem):
    """Fit pythae's VAE on columns in [0, 1], since its decoder ends in a sigmoid."""
    import torch

    logging.disable(logging.WARNING)
    least, span = problem.X.min(0), np.ptp(problem.X, axis=0)
    train, test = (
        torch.as_tensor((rows - least) / span).float()
        for rows in (problem.X, problem.X_test)
    )
    model, seconds = timed(_trained_by_pythae, train, problem.k, problem.seed)
    with torch.no_grad():
        Z, Z_test = (model.encoder(rows).embedding for rows in (train, test))
        back = model.decoder(Z_test).reconstruction.numpy()
        density = _pythae_density(model, test) - np.log(span).sum()
    rows = {"train": Z.numpy(), "test": Z_test.numpy(), "back": back * span + least}
    return rows | seconds | {"density": density}


def _trained_by_pythae(rows, k, seed):
    import torch
    from pythae.models import VAE, VAEConfig
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    torch.manual_seed(seed)
    model = VAE(VAEConfig(input_dim=(rows.shape[1],), latent_dim=k))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(output_dir=folder, seed=seed, no_cuda=True)
        TrainingPipeline(model, config)(train_data=rows)
    return model.eval()


def _pythae_density(model, rows, n_draws=128):
    """Return the importance-weighted bound on log p of each row.

    The density is the one that its `get_nll` estimates: noise of variance one.
    """
    import torch
    from torch.distributions import Normal

    answer = []
    for x in rows.split(64):
        outputs = model.encoder(x)
        q = Normal(outputs.embedding, torch.exp(0.5 * outputs.log_covariance))
        z = q.sample((n_draws,))
        means = model.decoder(z.flatten(0, 1)).reconstruction
        p = Normal(means.reshape(n_draws, *x.shape), 1.0)
        weights = p.log_prob(x).sum(-1) - q.log_prob(z).sum(-1)
        weights += Normal(0.0, 1.0).log_prob(z).sum(-1)
        answer.append(torch.logsumexp(weights, 0) - np.log(n_draws))
    return torch.cat(answer).double().numpy()


def encdr(problem):
    """Fit encdr's autoencoder, which standardizes the columns itself."""
    from encdr import ENCDR

    model = ENCDR(latent_dim=problem.k, random_state=problem.seed)
    seconds = timed(model.fit, problem.X)[1]
    train, test = model.transform(problem.X), model.transform(problem.X_test)
    back = model.inverse_transform(test)
    return {"train": train, "test": test, "back": back, **seconds}


def deep_rows(problem):
    """Draw rows from a network of ctgan for tables."""
    import ctgan
    import generation
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(problem.seed)
    np.random.seed(problem.seed)  # noqa: NPY002
    frame = generation.framed(problem.X, problem.coded)
    names = list(frame.columns[problem.coded])
    model = getattr(ctgan, str(problem.model))(enable_gpu=False)

    def drawn():
        model.fit(frame, names)
        return model.sample(problem.n)

    rows, seconds = timed(drawn)
    for name in names:
        rows[name] = rows[name].str[1:]
    return {"rows": rows.to_numpy(float), "cpu": seconds["cpu"]}


def outliers(problem):
    """Fit a detector of pyod; `outlyingness` is large for outliers."""
    import torch
    from pyod.models.pca import PCA
    from pyod.models.vae import VAE

    torch.set_num_threads(1)
    made = {
        "PCA": lambda: PCA(random_state=problem.seed),
        "VAE": lambda: VAE(random_state=problem.seed, verbose=0, device="cpu"),
    }
    detector, seconds = timed(made[problem.model]().fit, problem.X)
    return {"outlyingness": detector.decision_scores_, "cpu": seconds["cpu"]}

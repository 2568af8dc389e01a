"""One fit of another package, in an environment that holds that package.

    ENVIRONMENT/bin/python benchmarks/_peers.py NAME CASE.npz ANSWER.npz

CASE holds X_train, X_test, k and seed. ANSWER gets the embedding of the training and
test rows, the reconstruction of the test rows in their own units, their log-density
(NaN where the package has none) and the seconds that the fit took. Each package is
called as its documentation says, with nothing set but the number of components, the
seed and what keeps it quiet and on the CPU.
"""

import sys
import tempfile
import time
from functools import partial

import numpy as np


def umap(X, X_test, k, seed):
    """Fit UMAP on standardized columns; it has no fast way back to rows."""
    from umap import UMAP

    mean, scale = X.mean(0), X.std(0)
    started = time.perf_counter()
    model = UMAP(n_components=k, random_state=seed)
    embedding = model.fit_transform((X - mean) / scale)
    seconds = time.perf_counter() - started
    return seconds, embedding, model.transform((X_test - mean) / scale), None, None


def pyod(X, X_test, k, seed):
    """Fit pyod's VAE, which standardizes the columns itself."""
    import torch
    from pyod.models.vae import VAE

    started = time.perf_counter()
    model = VAE(latent_dim=k, random_state=seed, verbose=0, device="cpu").fit(X)
    seconds = time.perf_counter() - started

    def standardized(rows):
        return torch.as_tensor((rows - model.X_mean) / model.X_std).float()

    network = model.model.eval()
    with torch.no_grad():
        train, _ = network.encode(standardized(X))
        test, _ = network.encode(standardized(X_test))
        back = network.decode(test).numpy() * model.X_std + model.X_mean
    return seconds, train.numpy(), test.numpy(), back, None


def pythae(X, X_test, k, seed):
    """Fit pythae's VAE on columns in [0, 1], since its decoder ends in a sigmoid."""
    import logging

    import torch
    from pythae.models import VAE, VAEConfig
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    logging.disable(logging.WARNING)
    least, span = X.min(0), np.ptp(X, axis=0)
    train, test = (
        torch.as_tensor((rows - least) / span).float() for rows in (X, X_test)
    )
    started = time.perf_counter()
    torch.manual_seed(seed)
    model = VAE(VAEConfig(input_dim=(X.shape[1],), latent_dim=k))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(output_dir=folder, seed=seed, no_cuda=True)
        TrainingPipeline(model, config)(train_data=train)
    seconds = time.perf_counter() - started
    model.eval()
    with torch.no_grad():
        codes = [model.encoder(rows).embedding.numpy() for rows in (train, test)]
        back = model.decoder(torch.as_tensor(codes[1])).reconstruction.numpy()
        density = _pythae_density(model, test) - np.log(span).sum()
    return seconds, *codes, back * span + least, density


def _pythae_density(model, rows, n_draws=128):
    """Return the importance-weighted bound on log p of each row.

    The density is the one that its `get_nll` estimates: noise of variance one.
    """
    import torch
    from torch.distributions import Normal

    answer = []
    for x in rows.split(64):
        code = model.encoder(x)
        q = Normal(code.embedding, torch.exp(0.5 * code.log_covariance))
        z = q.sample((n_draws,))
        means = model.decoder(z.flatten(0, 1)).reconstruction
        p = Normal(means.reshape(n_draws, *x.shape), 1.0)
        weights = p.log_prob(x).sum(-1) - q.log_prob(z).sum(-1)
        weights += Normal(0.0, 1.0).log_prob(z).sum(-1)
        answer.append(torch.logsumexp(weights, 0) - np.log(n_draws))
    return torch.cat(answer).double().numpy()


def encdr(X, X_test, k, seed, name="ENCDR"):
    """Fit encdr's autoencoder, which standardizes the columns itself."""
    from encdr import encdr as package

    started = time.perf_counter()
    model = getattr(package, name)(latent_dim=k, random_state=seed).fit(X)
    seconds = time.perf_counter() - started
    train, test = model.transform(X), model.transform(X_test)
    return seconds, train, test, model.inverse_transform(test), None


PEERS = {
    "encdr": encdr,
    # In the released wheel, though its top level does not export it.
    "encdr_vae": partial(encdr, name="VENCDR"),
    "pythae": pythae,
    "pyod": pyod,
    "umap": umap,
}


def main():
    """Run the peer that the command line names."""
    name, source, target = sys.argv[1:]
    with np.load(source) as case:
        X, X_test, k, seed = (case[n] for n in ("X_train", "X_test", "k", "seed"))
    answer = PEERS[name](X, X_test, int(k), int(seed))
    seconds, train, test, back, density = answer
    np.savez(
        target,
        seconds=seconds,
        train=train,
        test=test,
        back=np.full(X_test.shape, np.nan) if back is None else back,
        density=np.full(len(X_test), np.nan) if density is None else density,
    )


if __name__ == "__main__":
    main()

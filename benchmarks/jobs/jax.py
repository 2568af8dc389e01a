"""The job in JAX with an epoch in one compiled `lax.scan`, and optax's Adam."""

from functools import partial

import jax
import numpy as np
import optax
from jax import numpy as jnp

from jobs import N_HIDDEN, STEP_SIZE, Shape


def initial(key, n_columns, n_components):
    """Return the weights and biases of the job's layers, Glorot's start."""
    sizes = {
        "hidden": (n_columns, N_HIDDEN),
        "posterior": (N_HIDDEN, 2 * n_components),
        "back": (n_components, N_HIDDEN),
        "logits": (N_HIDDEN, n_columns),
    }
    start = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(key, len(sizes))
    return {
        name: (start(key, size), jnp.zeros(size[1]))
        for key, (name, size) in zip(keys, sizes.items(), strict=True)
    }


def encoded(theta, x):
    """Return mean and log-variance."""
    (w, b), (v, c) = theta["hidden"], theta["posterior"]
    return jnp.split(jax.nn.relu(x @ w + b) @ v + c, 2, axis=-1)


def decoded(theta, z):
    """Return logits."""
    (w, b), (v, c) = theta["back"], theta["logits"]
    return jax.nn.relu(z @ w + b) @ v + c


def loss(theta, x, key):
    """Return the summed loss of a batch."""
    mean, log_var = encoded(theta, x)
    noise = jax.random.normal(key, mean.shape)
    logits = decoded(theta, mean + jnp.exp(0.5 * log_var) * noise)
    entropy = optax.sigmoid_binary_cross_entropy(logits, x).sum()
    return entropy - 0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var))


class Job(Shape):
    def fit(self, X, n_epochs, tick):
        optimizer = optax.adam(STEP_SIZE)
        key = jax.random.PRNGKey(0)
        theta = initial(key, self.n_columns, self.n_components)
        state = (theta, optimizer.init(theta))
        epoch = jax.jit(partial(self._epoch, optimizer), donate_argnums=0)
        rows = jnp.asarray(X)
        random = np.random.default_rng(0)
        for i in range(n_epochs):
            order = random.permutation(len(X))
            state = epoch(state, rows, order, jax.random.fold_in(key, i))
            jax.block_until_ready(state)
            tick()
        self.theta = state[0]
        self._mean = jax.jit(lambda theta, x: encoded(theta, x)[0])
        self._back = jax.jit(lambda theta, z: jax.nn.sigmoid(decoded(theta, z)))

    def _epoch(self, optimizer, state, X, order, key):
        """Return the state after a pass over the rows; the last batch may be small."""

        def step(state, index_and_key):
            index, key = index_and_key
            theta, moments = state
            value, gradient = jax.value_and_grad(loss)(theta, X[index], key)
            change, moments = optimizer.update(gradient, moments, theta)
            return (optax.apply_updates(theta, change), moments), value

        n_whole = len(order) // self.batch_size
        keys = jax.random.split(key, n_whole + 1)
        first, rest = jnp.split(order, [n_whole * self.batch_size])
        batches = first.reshape(n_whole, self.batch_size)
        state, _ = jax.lax.scan(step, state, (batches, keys[:n_whole]))
        return step(state, (rest, keys[-1]))[0] if len(rest) else state

    def encode(self, X):
        return np.asarray(self._mean(self.theta, X))

    def decode(self, Z):
        return np.asarray(self._back(self.theta, Z))

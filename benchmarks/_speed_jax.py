"""The job of `_speed_jobs.py` in Keras, on any backend, and in JAX."""

from functools import partial

import numpy as np
from _speed_jobs import N_HIDDEN, STEP_SIZE, Job

PREDICT_ROWS = 4096
"""Rows per batch of `predict`; the default of 32 is many times slower."""


def draws(*shape):
    """Return float32 draws from the prior."""
    return np.random.default_rng().standard_normal(shape, dtype=np.float32)


class Keras(Job):
    """Keras' `fit`, the loss added by a layer so that no second array is read."""

    modules = ("keras",)

    def fit(self, X, n_epochs, tick):
        import keras

        model = self._build()
        model.compile(optimizer=keras.optimizers.Adam(STEP_SIZE))
        ends = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: tick())
        model.fit(
            X,
            batch_size=self.batch_size,
            epochs=n_epochs,
            shuffle=True,
            verbose=0,
            callbacks=[ends],
        )

    def _build(self):
        import keras
        from keras import layers, ops

        class Bound(layers.Layer):
            def __init__(self, decoder):
                super().__init__()
                self.decoder = decoder
                self.seed = keras.random.SeedGenerator(0)

            def call(self, x, mean, log_var):
                noise = keras.random.normal(ops.shape(mean), seed=self.seed)
                logits = self.decoder(mean + ops.exp(0.5 * log_var) * noise)
                entropy = ops.binary_crossentropy(x, logits, from_logits=True)
                kl = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
                self.add_loss(ops.sum(entropy) + ops.sum(kl))
                return logits

        x, z = keras.Input((self.n_columns,)), keras.Input((self.n_components,))
        hidden = layers.Dense(N_HIDDEN, "relu")(x)
        mean = layers.Dense(self.n_components)(hidden)
        log_var = layers.Dense(self.n_components)(hidden)
        logits = layers.Dense(self.n_columns)(layers.Dense(N_HIDDEN, "relu")(z))
        self.encoder = keras.Model(x, mean)
        self.decoder = keras.Model(z, layers.Activation("sigmoid")(logits))
        return keras.Model(x, Bound(keras.Model(z, logits))(x, mean, log_var))

    def encode(self, X):
        return self.encoder.predict(X, batch_size=PREDICT_ROWS, verbose=0)

    def decode(self, Z):
        return self.decoder.predict(Z, batch_size=PREDICT_ROWS, verbose=0)

    def sample(self, n):
        return self.decode(draws(n, self.n_components))


def initial_weights(key, n_columns, n_components):
    """Return the weights of the job's layers, Glorot's start."""
    import jax

    sizes = {
        "hidden": (n_columns, N_HIDDEN),
        "code": (N_HIDDEN, 2 * n_components),
        "back": (n_components, N_HIDDEN),
        "logits": (N_HIDDEN, n_columns),
    }
    start = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(key, len(sizes))
    return {
        name: (start(key, size), jax.numpy.zeros(size[1]))
        for key, (name, size) in zip(keys, sizes.items(), strict=True)
    }


def encoded(weights, x):
    """Return mean and log-variance."""
    import jax
    from jax import numpy as jnp

    (w, b), (v, c) = weights["hidden"], weights["code"]
    return jnp.split(jax.nn.relu(x @ w + b) @ v + c, 2, axis=-1)


def decoded(weights, z):
    """Return logits."""
    import jax

    (w, b), (v, c) = weights["back"], weights["logits"]
    return jax.nn.relu(z @ w + b) @ v + c


def loss(weights, x, key):
    """Return the summed loss of a batch."""
    import jax
    import optax
    from jax import numpy as jnp

    mean, log_var = encoded(weights, x)
    noise = jax.random.normal(key, mean.shape)
    logits = decoded(weights, mean + jnp.exp(0.5 * log_var) * noise)
    entropy = optax.sigmoid_binary_cross_entropy(logits, x).sum()
    return entropy - 0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var))


class Jax(Job):
    """JAX with an epoch in one compiled `lax.scan`, and optax's Adam."""

    modules = ("jax", "optax")

    def fit(self, X, n_epochs, tick):
        import jax
        import optax

        optimizer = optax.adam(STEP_SIZE)
        key = jax.random.PRNGKey(0)
        weights = initial_weights(key, self.n_columns, self.n_components)
        state = (weights, optimizer.init(weights))
        epoch = jax.jit(partial(self._epoch, optimizer), donate_argnums=0)
        rows = jax.numpy.asarray(X)
        random = np.random.default_rng(0)
        for i in range(n_epochs):
            order = random.permutation(len(X))
            state = epoch(state, rows, order, jax.random.fold_in(key, i))
            jax.block_until_ready(state)
            tick()
        self.weights = state[0]
        self._mean = jax.jit(lambda weights, x: encoded(weights, x)[0])
        self._back = jax.jit(lambda weights, z: jax.nn.sigmoid(decoded(weights, z)))

    def _epoch(self, optimizer, state, X, order, key):
        """Return the state after a pass over the rows; the last batch may be small."""
        import jax
        import optax

        def step(state, index_and_key):
            index, key = index_and_key
            weights, moments = state
            value, gradient = jax.value_and_grad(loss)(weights, X[index], key)
            change, moments = optimizer.update(gradient, moments, weights)
            return (optax.apply_updates(weights, change), moments), value

        n_whole = len(order) // self.batch_size
        keys = jax.random.split(key, n_whole + 1)
        first, rest = jax.numpy.split(order, [n_whole * self.batch_size])
        batches = first.reshape(n_whole, self.batch_size)
        state, _ = jax.lax.scan(step, state, (batches, keys[:n_whole]))
        return step(state, (rest, keys[-1]))[0] if len(rest) else state

    def encode(self, X):
        return np.asarray(self._mean(self.weights, X))

    def decode(self, Z):
        return np.asarray(self._back(self.weights, Z))

    def sample(self, n):
        return self.decode(draws(n, self.n_components))

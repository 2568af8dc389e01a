"""The job in Keras' `fit`; a layer adds the loss, so that no second array is read."""

import keras
from keras import layers, ops

from jobs import N_HIDDEN, STEP_SIZE, Shape

PREDICT_ROWS = 4096
"""Rows per batch of `predict`; the default of 32 is many times slower."""


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


class Job(Shape):
    def fit(self, X, n_epochs, tick):
        model = self._build()
        model.compile(optimizer=keras.optimizers.Adam(STEP_SIZE))
        ends = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: tick())
        sizes = {"batch_size": self.batch_size, "epochs": n_epochs}
        model.fit(X, **sizes, shuffle=True, verbose=0, callbacks=[ends])

    def _build(self):
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

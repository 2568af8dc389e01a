"""A like job in pyod's VAE, which trains on squared errors."""

from pyod.models.vae import VAE

from jobs import N_HIDDEN, STEP_SIZE
from jobs.torch import TorchJob


class Job(TorchJob):
    def fit(self, X, n_epochs, tick):
        class Detector(VAE):
            def epoch_update(self):
                tick()

        detector = Detector(
            latent_dim=self.n_components,
            encoder_neuron_list=[N_HIDDEN],
            decoder_neuron_list=[N_HIDDEN],
            output_activation_name="sigmoid",
            dropout_rate=0,
            batch_size=self.batch_size,
            epoch_num=n_epochs,
            lr=STEP_SIZE,
            preprocessing=False,
            device="cpu",
            verbose=0,
        )
        self.network = detector.fit(X).model.eval()

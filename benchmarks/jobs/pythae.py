"""The job in pythae's VAE and trainer, with the networks of the job."""

import tempfile

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback

from jobs import STEP_SIZE
from jobs.torch import TorchJob


class EpochEnds(TrainingCallback):
    def __init__(self, tick):
        self.tick = tick

    def on_epoch_end(self, training_config, **kwargs):
        self.tick()


class Encoder(BaseEncoder):
    def __init__(self, network):
        super().__init__()
        self.hidden, self.mean = network.hidden, network.mean
        self.log_var = network.log_var

    def forward(self, x):
        h = self.hidden(x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    def __init__(self, network):
        super().__init__()
        self.decode = network.decode

    def forward(self, z):
        return ModelOutput(reconstruction=self.decode(z))


class Job(TorchJob):
    def fit(self, X, n_epochs, tick):
        network = self.build()
        shape = {"input_dim": (self.n_columns,), "latent_dim": self.n_components}
        config = VAEConfig(**shape, reconstruction_loss="bce")
        model = VAE(config, Encoder(network), Decoder(network))
        rows = BaseDataset(torch.from_numpy(X), torch.ones(len(X)))
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=n_epochs,
                learning_rate=STEP_SIZE,
                per_device_train_batch_size=self.batch_size,
                optimizer_cls="Adam",
                no_cuda=True,
            )
            how = {"training_config": settings, "callbacks": [EpochEnds(tick)]}
            BaseTrainer(model, rows, **how).train()
        model.eval()

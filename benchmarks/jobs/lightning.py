"""The job in Lightning, with all that can be switched off switched off."""

import lightning
import torch

from jobs import STEP_SIZE
from jobs.torch import TorchJob, loss_of

QUIET = "logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"


class Module(lightning.LightningModule):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def training_step(self, batch, index):
        return loss_of(batch[0], *self.network(batch[0]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=STEP_SIZE)


class Job(TorchJob):
    def fit(self, X, n_epochs, tick):
        ends = lightning.pytorch.callbacks.LambdaCallback(
            on_train_epoch_end=lambda *_: tick()
        )
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=n_epochs,
            callbacks=[ends],
            **dict.fromkeys(QUIET, False),
        )
        trainer.fit(Module(self.build()), self.loader(X))

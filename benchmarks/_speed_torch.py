"""The job of `_speed_jobs.py` as the packages built on PyTorch do it."""

import tempfile

from _speed_jobs import N_HIDDEN, STEP_SIZE, Job


def torch_network(n_columns, n_components):
    """Return the network as a module that gives (mean of x, mean, log-variance)."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Sequential(nn.Linear(n_columns, N_HIDDEN), nn.ReLU())
            self.mean = nn.Linear(N_HIDDEN, n_components)
            self.log_var = nn.Linear(N_HIDDEN, n_components)
            self.decode = nn.Sequential(
                nn.Linear(n_components, N_HIDDEN),
                nn.ReLU(),
                nn.Linear(N_HIDDEN, n_columns),
                nn.Sigmoid(),
            )

        def forward(self, x):
            h = self.hidden(x)
            mean, log_var = self.mean(h), self.log_var(h)
            z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
            return self.decode(z), mean, log_var

    return Network()


def torch_loss(x, back, mean, log_var):
    """Return the summed loss of a batch, as PyTorch's own VAE example writes it."""
    import torch
    from torch.nn import functional

    cross_entropy = functional.binary_cross_entropy(back, x, reduction="sum")
    return cross_entropy - 0.5 * torch.sum(1 + log_var - mean**2 - log_var.exp())


class TorchJob(Job):
    """Base of the packages that train a plain PyTorch module."""

    def build(self):
        self.network = torch_network(self.n_columns, self.n_components)
        return self.network

    def loader(self, X):
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        rows = TensorDataset(torch.from_numpy(X))
        return DataLoader(rows, batch_size=self.batch_size, shuffle=True)

    def encode(self, X):
        import torch

        with torch.no_grad():
            return self.network.mean(self.network.hidden(torch.from_numpy(X))).numpy()

    def decode(self, Z):
        import torch

        with torch.no_grad():
            return self.network.decode(torch.from_numpy(Z)).numpy()

    def sample(self, n):
        import torch

        return self.decode(torch.randn(n, self.n_components).numpy())


class TorchLoop(TorchJob):
    """PyTorch as people write it: a DataLoader, and `loss.item()` at each step."""

    modules = ("torch", "torch.utils.data")

    def fit(self, X, n_epochs, tick):
        import torch

        network = self.build()
        optimizer = torch.optim.Adam(network.parameters(), lr=STEP_SIZE)
        loader = self.loader(X)
        for _ in range(n_epochs):
            total = 0.0
            for (x,) in loader:
                optimizer.zero_grad()
                loss = torch_loss(x, *network(x))
                loss.backward()
                total += loss.item()
                optimizer.step()
            tick()


class Lightning(TorchJob):
    """Lightning's trainer, with all that can be switched off switched off."""

    modules = ("lightning",)

    def fit(self, X, n_epochs, tick):
        import lightning
        import torch

        class Module(lightning.LightningModule):
            def __init__(self, network):
                super().__init__()
                self.network = network

            def training_step(self, batch, index):
                return torch_loss(batch[0], *self.network(batch[0]))

            def configure_optimizers(self):
                return torch.optim.Adam(self.parameters(), lr=STEP_SIZE)

        class Ends(lightning.Callback):
            def on_train_epoch_end(self, trainer, module):
                tick()

        quiet = ("logger", "enable_checkpointing", "enable_progress_bar")
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=n_epochs,
            callbacks=[Ends()],
            enable_model_summary=False,
            **dict.fromkeys(quiet, False),
        )
        trainer.fit(Module(self.build()), self.loader(X))


class Skorch(TorchJob):
    """skorch's NeuralNet without validation rows."""

    modules = ("skorch", "skorch.callbacks")

    def fit(self, X, n_epochs, tick):
        import skorch
        import torch
        from skorch.callbacks import Callback

        class Net(skorch.NeuralNet):
            def get_loss(self, y_pred, y_true, X=None, training=False):
                return torch_loss(X, *y_pred)

        class Ends(Callback):
            def on_epoch_end(self, net, **kwargs):
                tick()

        net = Net(
            self.build(),
            criterion=torch.nn.BCELoss,
            optimizer=torch.optim.Adam,
            lr=STEP_SIZE,
            batch_size=self.batch_size,
            max_epochs=n_epochs,
            train_split=None,
            iterator_train__shuffle=True,
            callbacks=[Ends()],
            verbose=0,
        )
        net.fit(X)
        self.network = net.module_


class Pythae(TorchJob):
    """pythae's VAE and trainer; its networks are swapped for those of the job."""

    modules = ("pythae.models", "pythae.trainers", "pythae.samplers")

    def fit(self, X, n_epochs, tick):
        import torch
        from pythae.data.datasets import BaseDataset
        from pythae.models import VAE, VAEConfig
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
        from pythae.trainers.training_callbacks import TrainingCallback

        class Ends(TrainingCallback):
            def on_epoch_end(self, training_config, **kwargs):
                tick()

        shape = {"input_dim": (self.n_columns,), "latent_dim": self.n_components}
        config = VAEConfig(**shape, reconstruction_loss="bce")
        self.model = VAE(config, *self._networks())
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder,
                num_epochs=n_epochs,
                learning_rate=STEP_SIZE,
                per_device_train_batch_size=self.batch_size,
                optimizer_cls="Adam",
                no_cuda=True,
            )
            rows = BaseDataset(torch.from_numpy(X), torch.ones(len(X)))
            trainer = BaseTrainer(
                self.model, rows, training_config=settings, callbacks=[Ends()]
            )
            trainer.train()
        self.model.eval()

    def _networks(self):
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder

        class Encoder(BaseEncoder):
            def __init__(self, network):
                super().__init__()
                self.hidden, self.mean = network.hidden, network.mean
                self.log_var = network.log_var

            def forward(self, x):
                h = self.hidden(x)
                return ModelOutput(
                    embedding=self.mean(h), log_covariance=self.log_var(h)
                )

        class Decoder(BaseDecoder):
            def __init__(self, network):
                super().__init__()
                self.decode = network.decode

            def forward(self, z):
                return ModelOutput(reconstruction=self.decode(z))

        network = self.build()
        return Encoder(network), Decoder(network)

    def encode(self, X):
        import torch

        with torch.no_grad():
            return self.model.encoder(torch.from_numpy(X)).embedding.numpy()

    def decode(self, Z):
        import torch

        with torch.no_grad():
            return self.model.decoder(torch.from_numpy(Z)).reconstruction.numpy()


class Pyod(TorchJob):
    """pyod's VAE, which trains on squared errors: a like job, not quite the same."""

    modules = ("pyod.models.vae",)

    def fit(self, X, n_epochs, tick):
        from pyod.models.vae import VAE

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

    def encode(self, X):
        import torch

        with torch.no_grad():
            return self.network.encode(torch.from_numpy(X))[0].numpy()

"""The job in PyTorch as people write it: a DataLoader, `loss.item()` at each step."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from jobs import N_HIDDEN, STEP_SIZE, Shape


class Network(nn.Module):
    """Gives (mean of x, mean of z, log-variance of z)."""

    def __init__(self, n_columns, n_components):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(n_columns, N_HIDDEN), nn.ReLU())
        self.mean = nn.Linear(N_HIDDEN, n_components)
        self.log_var = nn.Linear(N_HIDDEN, n_components)
        back = nn.Linear(n_components, N_HIDDEN), nn.Linear(N_HIDDEN, n_columns)
        self.decode = nn.Sequential(back[0], nn.ReLU(), back[1], nn.Sigmoid())

    def encode(self, x):
        h = self.hidden(x)
        return self.mean(h), self.log_var(h)

    def forward(self, x):
        mean, log_var = self.encode(x)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        return self.decode(z), mean, log_var


def loss_of(x, back, mean, log_var):
    """Return the summed loss of a batch, as PyTorch's own VAE example writes it."""
    cross_entropy = functional.binary_cross_entropy(back, x, reduction="sum")
    return cross_entropy - 0.5 * torch.sum(1 + log_var - mean**2 - log_var.exp())


class TorchJob(Shape):
    """Base class of the packages that train a PyTorch module."""

    def build(self):
        self.network = Network(self.n_columns, self.n_components)
        return self.network

    def loader(self, X):
        rows = TensorDataset(torch.from_numpy(X))
        return DataLoader(rows, batch_size=self.batch_size, shuffle=True)

    @torch.no_grad()
    def encode(self, X):
        return self.network.encode(torch.from_numpy(X))[0].numpy()

    @torch.no_grad()
    def decode(self, Z):
        return self.network.decode(torch.from_numpy(Z)).numpy()


class Job(TorchJob):
    def fit(self, X, n_epochs, tick):
        network = self.build()
        optimizer = torch.optim.Adam(network.parameters(), lr=STEP_SIZE)
        loader = self.loader(X)
        for _ in range(n_epochs):
            total = 0.0
            for (x,) in loader:
                optimizer.zero_grad()
                loss = loss_of(x, *network(x))
                loss.backward()
                total += loss.item()
                optimizer.step()
            tick()

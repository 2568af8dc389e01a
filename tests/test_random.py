"""Draws follow from their seed and counters, and from nothing else."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skvae._random import Stream, generator, normal_sequence, seed_from


def _draw(*name):
    return torch.randn(8, generator=generator(*name)).tolist()


def test_generator_repeats_a_draw_of_the_same_name():
    assert _draw(3, Stream.NOISE, 5, 7) == _draw(3, Stream.NOISE, 5, 7)


def test_generator_tells_seeds_streams_and_counters_apart():
    names = [
        (3, Stream.NOISE, 5, 7),
        (4, Stream.NOISE, 5, 7),
        (3, Stream.ORDER, 5, 7),
        (3, Stream.NOISE, 6, 7),
        (3, Stream.NOISE, 5, 8),
        (3, Stream.NOISE, 7, 5),
        (3, Stream.NOISE, 5),
        (3, Stream.NOISE, 5, 7, 0),
    ]
    assert len({tuple(_draw(*name)) for name in names}) == len(names)


def test_generator_counters_give_uncorrelated_draws():
    draws = np.array([_draw(0, Stream.NOISE, 0, step) for step in range(400)])
    correlations = np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())
    assert abs(correlations[0, 1]) < 5 / np.sqrt(draws.size)


def test_seed_from_repeats_integers_and_advances_a_random_state():
    assert seed_from(5) == seed_from(5) != seed_from(6)
    state = np.random.RandomState(5)
    assert seed_from(state) == seed_from(5) != seed_from(state)


def test_seed_from_none_gives_fresh_seeds_in_range():
    seeds = {seed_from(None) for _ in range(20)}
    assert len(seeds) > 10
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_normal_sequence_has_even_moments_in_every_dimension():
    points = normal_sequence(1024, 5, seed=0).numpy()
    assert np.isfinite(points).all()
    # Independent draws would miss by 0.03.
    assert_allclose(points.mean(axis=0), 0.0, atol=0.01)
    assert_allclose(points.var(axis=0), 1.0, atol=0.02)
    assert_allclose(np.corrcoef(points.T), np.eye(5), atol=0.03)


def test_normal_sequence_begins_with_a_shorter_one():
    short, long = (normal_sequence(n, 3, seed=4) for n in (10, 100))
    assert torch.equal(long[:10], short)


def test_normal_sequence_differs_by_seed():
    assert not torch.equal(*(normal_sequence(10, 3, seed=seed) for seed in (0, 1)))


@pytest.mark.parametrize(
    "random_state",
    [None, 5, np.random.RandomState(5)],
    ids=["None", "5", "RandomState"],
)
def test_random_leaves_everything_global_untouched(untouched, random_state):
    seed = seed_from(random_state)
    _draw(seed, Stream.PARAMETERS)
    normal_sequence(4, 2, seed)

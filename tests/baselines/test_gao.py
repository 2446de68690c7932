import numpy as np
import pytest
import torch

from oadls.baselines.gao import Game, minimise

LOW, HIGH = (-5.0, -5.0), (5.0, 5.0)
LEAST = np.array([1.3, -2.1])  # neither the middle of the box nor a corner


def sphere(point):
    return float(np.square(point - LEAST).sum())


def rosenbrock(point):
    x, y = point - LEAST + 1  # its minimum is at (1, 1)
    return float(100 * (y - x * x) ** 2 + (1 - x) ** 2)


def rastrigin(point):
    away = point - LEAST
    return float((away**2 - 10 * np.cos(2 * np.pi * away) + 10).sum())


def at_random(function, *, number, seed):
    """The least of so many values at uniform points."""
    points = np.random.default_rng([seed, 99]).uniform(LOW, HIGH, (number, 2))
    return min(function(point) for point in points)


@pytest.mark.parametrize(("function", "times"), [(sphere, 1000), (rosenbrock, 3), (rastrigin, 1.3)])
def test_it_comes_nearer_to_a_known_minimum_than_as_many_random_points(function, times):
    settings = {"population": 5, "generations": 15, "lessons": 3}
    found = [minimise(function, LOW, HIGH, **settings, seed=seed)[1] for seed in range(4)]
    number = 5 * (1 + 6 * 15)
    chance = [at_random(function, number=number, seed=seed) for seed in range(4)]
    assert times * np.median(found) < np.median(chance)


def test_it_finds_the_place_and_reports_what_it_evaluated():
    seen = []

    def noted(point):
        seen.append((point.tolist(), sphere(point)))
        return seen[-1][1]

    point, value, history = minimise(noted, LOW, HIGH, population=4, generations=8, seed=0)
    assert point == pytest.approx(LEAST, abs=0.1)
    assert value == min(value for _, value in seen) == sphere(point)
    assert len(seen) == 4 * (1 + 6 * 8)
    assert len(history) == 9
    assert history == sorted(history, reverse=True)
    assert history[0] == min(value for _, value in seen[:4])
    assert history[-1] == value


def test_a_minimum_in_the_corner_is_found_and_no_point_leaves_the_box():
    low, high = np.array([-5.0, -15.0]), np.array([15.0, 3.0])
    seen = []

    def slope(point):
        seen.append(point)
        return float(point[0] - point[1])

    point, *_ = minimise(slope, low, high, population=5, generations=12, lessons=3, seed=1)
    assert (np.array(seen) >= low).all()
    assert (np.array(seen) <= high).all()
    assert point == pytest.approx([-5, 3], abs=0.5)


def test_the_same_seed_searches_the_same_way_and_no_global_state_is_touched():
    def run(seed):
        points = []
        minimise(
            lambda point: points.append(point) or sphere(point),
            LOW,
            HIGH,
            population=3,
            generations=3,
            seed=seed,
        )
        return np.array(points)

    # The global states are what is looked at.
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = run(0)
    after = np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    np.random.seed(6)  # noqa: NPY002
    torch.manual_seed(6)
    assert np.array_equal(run(0), first)
    assert not np.array_equal(run(1), first)


def test_the_generator_learns_from_the_discriminator_which_way_is_down():
    rng = np.random.default_rng(0)
    game = Game(2, rng=rng, lessons=10)
    down = np.array([-1.0, 0.5])  # the function is -down · x
    before = (game.directions(np.zeros((200, 2))) @ down > 0).mean()
    for _ in range(10):
        old = rng.uniform(-0.5, 0.5, (25, 2))
        new = old + 0.3 * rng.uniform(-1, 1, old.shape)
        game.learn(old, new, better=(new - old) @ down > 0)
        game.practise(old[:5], step=0.3)
    assert 0.2 < before < 0.8
    assert (game.directions(rng.uniform(-0.5, 0.5, (200, 2))) @ down > 0).mean() > 0.95


def test_a_value_that_is_no_number_never_wins():
    def partly(point):
        return float("nan") if point[0] < 0 else sphere(point)

    point, value, _ = minimise(partly, LOW, HIGH, population=4, generations=4, seed=0)
    assert point[0] >= 0
    assert np.isfinite(value)


def test_a_box_turned_inside_out_is_refused():
    with pytest.raises(ValueError, match="low must lie below high"):
        minimise(sphere, HIGH, LOW, seed=0)

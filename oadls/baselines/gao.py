"""Generative adversarial optimization: the least value of a function that knows no gradient.

Tan & Shi, "Generative Adversarial Optimization", ICSI 2019; used by Tuba & Tuba (2019) to tune a
support vector machine.

From the paper and its published program: a generator turns a current solution and noise into a
direction within [-1, 1], which times a step length leads to a new solution, cut off at the bounds;
a discriminator sees a current and a new solution, takes both through the same layers and says from
the difference how probable it is that the new one is better; it learns from pairs that were
evaluated, the generator learns to make it say yes. Each generation adds to every current solution
three generated, two at random within the step and one anywhere in the box; the best of old and new
remain. The step starts at a quarter of the box and falls to 0 with the power 4.5. Layers 64 | 64,
64, 10 | 10, 1, noise of 10 numbers, Adam at 0.001, binary cross-entropy.
Decided here, where the paper has some 10,000 generations and we have ten: both networks take
`lessons` steps a generation instead of one, at a rate of 0.01, and the discriminator learns from
all pairs so far, not from the last ones. The bounds become [-1, 1] in every dimension.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

GENERATED, NEAR, ANYWHERE = 3, 2, 1  # new solutions for each current one
FIRST_STEP, DECAY, NOISE, HIDDEN, CODE, RATE = 0.5, 4.5, 10, 64, 10, 0.01


def minimise(
    function: Callable[[np.ndarray], float],
    low: Sequence[float],
    high: Sequence[float],
    *,
    population: int = 5,
    generations: int = 10,
    lessons: int = 20,
    seed: int,
) -> tuple[np.ndarray, float, list[float]]:
    """Search a box for the point at which `function` of (D,) float64 is least.

    low, high : (D,) bounds, which the points may touch
    population : current solutions; 6 times as many points are evaluated in a generation
    returns the best point (D,), its value, and the best value at the start and after each
        generation; numbers of NaN come last
    """
    bottom, top = np.asarray(low, float), np.asarray(high, float)
    if bottom.shape != top.shape or bottom.ndim != 1 or not (bottom < top).all():
        raise ValueError(f"minimise: low must lie below high, got {low} and {high}")
    if population < 1 or generations < 0:
        raise ValueError(f"minimise: a population and generations, got {population}, {generations}")
    rng = np.random.default_rng(seed)  # the only source of chance: no global state is touched
    game = Game(len(bottom), rng=rng, lessons=lessons)

    def scaled(points: np.ndarray) -> np.ndarray:
        return np.clip(bottom + (points + 1) / 2 * (top - bottom), bottom, top)

    def evaluate(points: np.ndarray) -> np.ndarray:
        return np.array([float(function(point)) for point in scaled(points)])

    points = rng.uniform(-1, 1, (population, len(bottom)))
    points, values = _best(points, evaluate(points), population)
    history = [float(values[0])]
    for generation in range(generations):
        step = FIRST_STEP * (1 - generation / generations) ** DECAY
        origins = np.tile(points, (GENERATED + NEAR, 1))
        ways = rng.uniform(-1, 1, origins.shape)
        guided = GENERATED * population
        ways[:guided] = game.directions(origins[:guided])
        moved = np.clip(origins + step * ways, -1, 1)
        new = np.concatenate([moved, rng.uniform(-1, 1, (ANYWHERE * population, len(bottom)))])
        found = evaluate(new)
        game.learn(origins, moved, better=found[: len(moved)] < np.tile(values, GENERATED + NEAR))
        points, values = _best(np.append(points, new, 0), np.append(values, found), population)
        game.practise(points, step=step)
        history.append(float(values[0]))
    return scaled(points)[0], float(values[0]), history


def _best(points: np.ndarray, values: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    order = values.argsort(kind="stable")[:number]  # the older of two equals remains
    return points[order], values[order]


class Game:
    """Generator and discriminator in the box [-1, 1]^D, with all pairs that were evaluated."""

    def __init__(self, dimensions: int, *, rng: np.random.Generator, lessons: int) -> None:
        self.rng, self.lessons = rng, lessons
        self.generator = _layers([dimensions + NOISE, HIDDEN, dimensions], rng)
        self.encoder = _layers([dimensions, HIDDEN, HIDDEN, CODE], rng)
        self.judge = _layers([CODE, CODE, 1], rng)
        self.pairs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.pupil = torch.optim.Adam(self.generator.parameters(), RATE)
        self.teacher = torch.optim.Adam(
            [*self.encoder.parameters(), *self.judge.parameters()], RATE
        )

    def directions(self, points: np.ndarray) -> np.ndarray:
        """(n, D) in [-1, 1]: where the generator would go from (n, D)."""
        with torch.no_grad():
            return self._direct(_tensor(points)).double().numpy()

    def learn(self, old: np.ndarray, new: np.ndarray, *, better: np.ndarray) -> None:
        """Teach the discriminator which of (n, D) pairs got better, (n,) bool, and all before."""
        self.pairs.append((_tensor(old), _tensor(new), _tensor(better)))
        before, after, answers = map(torch.cat, zip(*self.pairs, strict=True))
        for _ in range(self.lessons):
            _descend(self.teacher, self._compare(before, after), answers)

    def practise(self, points: np.ndarray, *, step: float) -> None:
        """Train the generator to get a yes for steps from (n, D)."""
        start = _tensor(np.tile(points, (GENERATED, 1)))
        for _ in range(self.lessons):
            moved = (start + step * self._direct(start)).clamp(-1, 1)
            _descend(self.pupil, self._compare(start, moved), torch.ones(len(start)))

    def _direct(self, points: torch.Tensor) -> torch.Tensor:
        noise = _tensor(self.rng.standard_normal((len(points), NOISE)))
        return self.generator(torch.cat([points, noise], dim=1)).tanh()  # (n, D)

    def _compare(self, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        return self.judge(self.encoder(old) - self.encoder(new))[:, 0]  # (n,) logits


def _descend(optimizer: torch.optim.Optimizer, logits: torch.Tensor, answers: torch.Tensor) -> None:
    optimizer.zero_grad()
    binary_cross_entropy_with_logits(logits, answers).backward()
    optimizer.step()


def _layers(sizes: list[int], rng: np.random.Generator) -> nn.Sequential:
    """Dense layers with a ReLU between two, drawn from `rng` as torch would from its own."""
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(sizes):
        layer = nn.utils.skip_init(nn.Linear, wide, narrow)
        for weights in (layer.weight, layer.bias):
            drawn = rng.uniform(-1, 1, tuple(weights.shape)) / np.sqrt(wide)
            weights.data.copy_(_tensor(drawn))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)

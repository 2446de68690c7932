"""Co-occurrence within a region, pair by pair."""

import math

import numpy as np

STEPS = {0: (0, 1), 45: (1, 1), 90: (1, 0), 135: (1, -1)}


def shares_of_pairs(channel, region, *, distance, angle, levels):
    """{(level, level): share} of the ordered pairs of pixels of the region, both ways round."""
    down, aside = (distance * step for step in STEPS[angle])
    height, width = region.shape
    counts = {}
    for row in range(height):
        for column in range(width):
            other = row + down, column + aside
            if not (0 <= other[0] < height and 0 <= other[1] < width):
                continue
            if region[row, column] and region[other]:
                one = int(channel[row, column]) * levels // 256
                two = int(channel[other]) * levels // 256
                for pair in ((one, two), (two, one)):
                    counts[pair] = counts.get(pair, 0) + 1
    total = sum(counts.values())
    return {pair: count / total for pair, count in counts.items()}


def second_moment(shares):
    return sum(share**2 for share in shares.values())


def haralick(shares):
    """The five textures, as Haralick writes them; homogeneity is the inverse difference moment."""
    mean = sum(i * share for (i, _), share in shares.items())
    variance = sum((i - mean) ** 2 * share for (i, _), share in shares.items())
    covariance = sum((i - mean) * (j - mean) * share for (i, j), share in shares.items())
    return {
        "contrast": sum((i - j) ** 2 * share for (i, j), share in shares.items()),
        "correlation": covariance / variance,
        "homogeneity": sum(share / (1 + (i - j) ** 2) for (i, j), share in shares.items()),
        "energy": math.sqrt(second_moment(shares)),
        "entropy": -sum(share * np.log(share) for share in shares.values()),
    }

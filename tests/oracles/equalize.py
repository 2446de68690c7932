"""Dynamic histogram equalization written out level by level (Abdullah-Al-Wadud et al. 2007)."""

import math


def smoothed(histogram):
    result = []
    for level in range(256):
        around = [histogram[k] for k in (level - 1, level, level + 1) if 0 <= k <= 255]
        result.append(sum(around) / len(around))
    return result


def minima(smooth, first, last):
    """Interior levels lower than both sides; of a flat floor, its middle level."""
    found = []
    for level in range(1, 255):
        left, right = level, level
        while left > 0 and smooth[left - 1] == smooth[level]:
            left -= 1
        while right < 255 and smooth[right + 1] == smooth[level]:
            right += 1
        if left == 0 or right == 255:
            continue
        is_floor = smooth[left - 1] > smooth[level] < smooth[right + 1]
        if is_floor and level == (left + right) // 2 and first < level < last:
            found.append(level)
    return found


def accepted(histogram, low, high):
    """The pieces of a segment that no peak dominates."""
    mass = sum(histogram[low : high + 1])
    if high - low + 1 < 3 or mass == 0:
        return [(low, high)]
    mean = sum(k * histogram[k] for k in range(low, high + 1)) / mass
    variance = sum((k - mean) ** 2 * histogram[k] for k in range(low, high + 1)) / mass
    a = max(low, round(mean - math.sqrt(variance)))
    b = min(high, round(mean + math.sqrt(variance)))
    if sum(histogram[a : b + 1]) / mass >= 0.683:
        return [(low, high)]
    pieces = [(a, b)]
    if low < a:
        pieces = accepted(histogram, low, a - 1) + pieces
    if b < high:
        pieces = pieces + accepted(histogram, b + 1, high)
    return pieces


def dynamic_levels(histogram, exponent=1.0):
    """Where DHE sends every occupied level, as {level: new level before rounding}."""
    histogram = [int(count) for count in histogram]
    occupied = [k for k in range(256) if histogram[k]]
    first, last = occupied[0], occupied[-1]
    pieces = []
    low = first
    for cut in [*minima(smoothed(histogram), first, last), last]:
        pieces += accepted(histogram, low, cut)
        low = cut + 1
    factors = []
    previous = first
    for low, high in pieces:
        count = sum(histogram[low : high + 1])
        factors.append((high - previous) * math.log10(1 + count) ** exponent)
        previous = high
    start = 0.0
    result = {}
    for (low, high), factor in zip(pieces, factors, strict=True):
        width = 255 * factor / sum(factors)
        count = sum(histogram[low : high + 1])
        running = 0
        for level in range(low, high + 1):
            running += histogram[level]
            if histogram[level]:
                result[level] = start + width * running / count
        start += width
    return result

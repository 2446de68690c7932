"""Duplicates as slow loops over the definition."""

import numpy as np


def groups(owners, digests):
    """Merge owners that share a digest until nothing changes; returns a set of frozensets."""
    sets = [{owner} for owner in set(owners)]
    for a, (owner_a, digest_a) in enumerate(zip(owners, digests, strict=True)):
        for owner_b, digest_b in list(zip(owners, digests, strict=True))[a + 1 :]:
            if digest_a != digest_b:
                continue
            one = next(s for s in sets if owner_a in s)
            other = next(s for s in sets if owner_b in s)
            if one is not other:
                sets.remove(other)
                one |= other
    return {frozenset(s) for s in sets}


def close_pairs(hashes, owners, max_distance):
    """(row, row, bits that differ) of pairs of two owners within the distance."""
    pairs = set()
    for a in range(len(hashes)):
        for b in range(a + 1, len(hashes)):
            distance = bin(int(hashes[a], 16) ^ int(hashes[b], 16)).count("1")
            if distance <= max_distance and owners[a] != owners[b]:
                pairs.add((a, b, distance))
    return pairs


def best_correlation(a, b):
    """The largest correlation of a with all circular shifts of b."""
    best = -1.0
    for dy in range(b.shape[0]):
        for dx in range(b.shape[1]):
            shifted = np.roll(b, (dy, dx), axis=(0, 1))
            best = max(best, float(np.vdot(a, shifted)))
    return best / np.sqrt(np.vdot(a, a) * np.vdot(b, b))

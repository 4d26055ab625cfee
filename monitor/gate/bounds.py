"""What k bad requests of n say about the share that is bad: exact one-sided bounds, and what is missing.

Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
Biometrika 26 (1934). A claim about a p95 is one about a share: fewer than one request in twenty may take as
long.
They hold for a number of requests that was fixed beforehand; `Sequential.upper` and `lower` hold for one that
was not. Shares and confidences are numbers from 0 to 1.
"""

from __future__ import annotations

# Not scipy.stats.beta, which is the same function and takes three times as long to import.
from scipy.special import betaincinv

CONFIDENCE = 0.95


def upper(bad: int, of: int, confidence: float = CONFIDENCE) -> float:
    """The share is below it, with this confidence; 1.0 while nothing was good."""
    return 1.0 if bad >= of else float(betaincinv(bad + 1, of - bad, confidence))


def lower(bad: int, of: int, confidence: float = CONFIDENCE) -> float:
    """The share is above it, with this confidence; 0.0 while nothing was bad."""
    return 0.0 if bad == 0 else float(betaincinv(bad, of - bad + 1, 1 - confidence))


def enough(bad: int, limit: float, confidence: float = CONFIDENCE) -> int:
    """How many requests it takes, `bad` of them bad, to show a share below `limit`."""
    least, most = bad, bad + 1
    while upper(bad, most, confidence) >= limit:
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        if upper(bad, middle, confidence) < limit:
            most = middle
        else:
            least = middle
    return most

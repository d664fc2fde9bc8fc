"""The papers' formulas, symbol by symbol, in exact fractions and 50-digit decimals; slow, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import wraps
from itertools import pairwise

# Ten bars made by hand: (open, high, low, close, quote volume), hourly and without a hole.
TEN = (
    ("100", "104", "99", "103", "5000"),
    ("103", "105", "101", "102", "4200"),
    ("102.5", "103", "97", "98", "7100"),
    ("98", "99.5", "96", "99", "3900"),
    ("99", "99", "99", "99", "0"),
    ("99.25", "102", "99", "101.5", "6400"),
    ("101.5", "106", "101", "105", "8800"),
    ("105", "105.5", "103", "104", "2500"),
    ("103.75", "104", "100", "100.5", "5600"),
    ("100.5", "103", "100", "102.25", "4700"),
)


def exact(formula: Callable[[], Decimal]) -> Callable[[], Decimal]:
    """The formula, computed with 50 digits."""

    @wraps(formula)
    def computed() -> Decimal:
        with localcontext(prec=50):
            return formula()

    return computed


def column(place: int) -> list[Decimal]:
    return [Decimal(bar[place]) for bar in TEN]


OPEN, HIGH, LOW, CLOSE, QUOTE = (column(place) for place in range(5))
with localcontext(prec=50):
    LN2 = Decimal(2).ln()


def mean(values: Iterable[Decimal]) -> Decimal:
    values = list(values)
    return sum(values, Decimal(0)) / len(values)


def variance(values: Sequence[Decimal]) -> Decimal:
    middle = mean(values)
    return sum(((each - middle) ** 2 for each in values), Decimal(0)) / (len(values) - 1)


def returns() -> list[Decimal]:
    return [(now / before).ln() for before, now in pairwise(CLOSE)]


@exact
def parkinson() -> Decimal:
    return mean((h / low).ln() ** 2 for h, low in zip(HIGH, LOW, strict=True)) / (4 * LN2)


@exact
def garman_klass() -> Decimal:
    return mean(
        (h / low).ln() ** 2 / 2 - (2 * LN2 - 1) * (c / o).ln() ** 2
        for o, h, low, c in zip(OPEN, HIGH, LOW, CLOSE, strict=True)
    )


def rogers_satchell_from(first: int) -> Decimal:
    bars = list(zip(OPEN, HIGH, LOW, CLOSE, strict=True))[first:]
    return mean((h / c).ln() * (h / o).ln() + (low / c).ln() * (low / o).ln() for o, h, low, c in bars)


@exact
def rogers_satchell() -> Decimal:
    return rogers_satchell_from(0)


@exact
def yang_zhang() -> Decimal:
    """Over the nine bars that have one before them."""
    n = 9
    jumps = [(o / c).ln() for o, c in zip(OPEN[1:], CLOSE, strict=False)]
    bodies = [(c / o).ln() for o, c in zip(OPEN[1:], CLOSE[1:], strict=True)]
    k = Decimal("0.34") / (Decimal("1.34") + Decimal(n + 1) / (n - 1))
    return variance(jumps) + k * variance(bodies) + (1 - k) * rogers_satchell_from(1)


@exact
def amihud() -> Decimal:
    """Absolute return per unit of quote volume, times a million; bars without volume are left out."""
    pairs = [(abs(r), volume) for r, volume in zip(returns(), QUOTE[1:], strict=True) if volume]
    return mean(r / volume for r, volume in pairs) * 10**6


@exact
def amivest() -> Decimal:
    return sum(QUOTE[1:], Decimal(0)) / sum((abs(r) for r in returns()), Decimal(0))


def variance_ratio(steps: Sequence[Fraction], q: int) -> tuple[Fraction, Fraction]:
    """Lo & MacKinlay's VR(q) and theta*(q), by indices as they print them: X_0 .. X_T, T = nq."""
    total = len(steps)
    x = [Fraction(0)]
    for step in steps:
        x.append(x[-1] + step)
    mu = (x[total] - x[0]) / total
    sigma_a = sum((x[k] - x[k - 1] - mu) ** 2 for k in range(1, total + 1)) / (total - 1)
    m = q * (total - q + 1) * (1 - Fraction(q, total))
    sigma_c = sum((x[k] - x[k - q] - q * mu) ** 2 for k in range(q, total + 1)) / m
    theta = Fraction(0)
    for j in range(1, q):
        products = ((x[k] - x[k - 1] - mu) ** 2 * (x[k - j] - x[k - j - 1] - mu) ** 2 for k in range(j + 1, total + 1))
        delta = sum(products) / sum((x[k] - x[k - 1] - mu) ** 2 for k in range(1, total + 1)) ** 2
        theta += Fraction(2 * (q - j), q) ** 2 * delta
    return sigma_c / sigma_a, theta

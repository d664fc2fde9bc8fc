"""What requests cost: the exchange charges a route by the number of rows asked for, in steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One address of the exchange's API.

    `weights` maps the last number of rows of each step to the step's weight, ascending; a route without a row
    limit has one step, 0. A `funding` route has no weight and counts by the request against a limit of its own.
    """

    path: str
    weights: Mapping[int, int]
    funding: bool = False

    def __post_init__(self) -> None:
        steps = list(self.weights.items())
        if not steps or steps != sorted(steps) or steps[0][0] < 0:
            raise ValueError(f"the weights of {self.path} must be steps of rows that ascend")
        if self.funding == any(self.weights.values()):
            raise ValueError(f"{self.path} must have a weight, or none and the limit of funding")

    @property
    def most_rows(self) -> int:
        """What one request can bring; 0 where rows are not counted."""
        return max(self.weights)

    def weight(self, rows: int = 0) -> int:
        """What a request for up to that many rows weighs; ValueError beyond `most_rows`."""
        for last, weight in self.weights.items():
            if rows <= last:
                return weight
        raise ValueError(f"{self.path} brings at most {self.most_rows} rows a request, not {rows}")

    def page_size(self, rows: int) -> int:
        """The rows a request should ask for so that `rows` of them weigh least, in fewest requests among equals.

        For many rows that is the step with most rows per weight: 499 of klines.
        """
        return min(filter(None, self.weights), key=lambda size: (pages(rows, size) * self.weights[size], -size))


def pages(rows: int, size: int) -> int:
    """How many requests for `size` rows bring that many."""
    return -(-rows // size)

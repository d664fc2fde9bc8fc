import pytest
from hypothesis import example, given, settings, strategies

from data_manager.actors.backfill.conf import exchange_conf
from data_manager.actors.backfill.weights import Route, pages

pure = settings(derandomize=True, deadline=None)

ROUTES = exchange_conf().routes
KLINES = ROUTES.klines


@pytest.mark.parametrize(
    ("rows", "weight"), [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10), (1500, 10)]
)
def test_klines_weigh_by_the_rows_asked_for(rows: int, weight: int):
    assert KLINES.weight(rows) == weight


@pytest.mark.parametrize(("rows", "weight"), [(5, 2), (50, 2), (100, 5), (500, 10), (1000, 20)])
def test_the_book_weighs_by_its_levels(rows: int, weight: int):
    assert ROUTES.depth.weight(rows) == weight


def test_other_routes_weigh_the_same_for_any_number_of_rows():
    assert ROUTES.agg_trades.weight(1) == ROUTES.agg_trades.weight(1000) == 20
    assert ROUTES.exchange_info.weight() == ROUTES.time.weight() == 1
    assert ROUTES.funding_rates.weight(1000) == 0


def test_more_rows_than_a_request_brings_are_refused():
    with pytest.raises(ValueError, match="at most 1500 rows a request, not 1501"):
        KLINES.weight(1501)


@pure
@given(strategies.integers(1, 20_000))
@example(1000)  # one request of weight 5 where 499 at a time take three of weight 2
@example(2016)
def test_no_page_size_makes_klines_weigh_less_or_in_as_much_weight_takes_fewer_requests(rows: int):
    best = min((pages(rows, size) * KLINES.weight(size), pages(rows, size)) for size in range(1, 1501))
    size = KLINES.page_size(rows)
    assert (pages(rows, size) * KLINES.weight(size), pages(rows, size)) == best


def test_for_many_rows_the_page_is_the_one_with_most_rows_per_weight():
    most = max(range(1, 1501), key=lambda size: size / KLINES.weight(size))
    assert KLINES.page_size(1_000_000) == most == 499


def test_routes_of_one_step_are_always_asked_for_all_they_bring():
    assert ROUTES.agg_trades.page_size(1) == 1000
    assert ROUTES.funding_rates.page_size(5) == 1000


@pytest.mark.parametrize("weights", [{}, {499: 2, 99: 1}, {-1: 1}, {5: 0}])
def test_a_table_that_cannot_be_true_is_refused(weights: dict[int, int]):
    with pytest.raises(ValueError, match="/x must"):
        Route("/x", weights)


def test_a_route_of_funding_has_no_weight():
    with pytest.raises(ValueError, match="must have a weight, or none"):
        Route("/x", {5: 1}, funding=True)

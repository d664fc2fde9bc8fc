"""Nobody gets more than the rate and one burst, whoever keeps to the rate gets all, and the table stays small."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.http import rate_limit
from data_manager.http.rate_limit import Buckets
from tests.http.serving import serving

pauses = st.lists(st.floats(0, 5), max_size=80)
rates = st.floats(0.1, 100)
bursts = st.integers(1, 20)


@given(pauses, rates, bursts)
def test_no_stretch_of_time_has_more_requests_than_rate_and_burst_allow(
    pauses: list[float], rate: float, burst: int
) -> None:
    buckets, now, taken = Buckets(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        if not buckets.take("a", now):
            taken.append(now)
    for first, began in enumerate(taken):
        for last, ended in enumerate(taken[first:], first):
            assert last - first + 1 <= burst + (ended - began) * rate + 1e-6


@given(rates, bursts)
def test_whoever_keeps_to_the_rate_is_never_refused(rate: float, burst: int) -> None:
    buckets = Buckets(rate, burst)
    assert not any(buckets.take("a", number / rate) for number in range(100))


@given(rates, bursts, st.floats(0, 1000))
def test_after_the_wait_that_it_names_there_is_a_token(rate: float, burst: int, now: float) -> None:
    buckets = Buckets(rate, burst)
    refused = [wait for _ in range(burst + 1) if (wait := buckets.take("a", now))]
    assert len(refused) == 1
    assert buckets.take("a", now + refused[0] * 0.9) > 0
    assert buckets.take("a", now + refused[0] * 1.001) == 0


def test_clients_have_buckets_of_their_own_and_strangers_push_out_the_idle_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limit, "CLIENTS_MAX", 2)
    buckets = Buckets(1, 1)
    assert [buckets.take(client, 0) for client in ("a", "b")] == [0, 0]
    assert buckets.take("a", 0) == 1
    assert buckets.take("b", 0) == 1
    assert buckets.take("c", 0) == 0
    assert len(buckets._due) == 2
    assert buckets.take("a", 0) == 0, "forgotten, since it asked before the others"


def test_a_client_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, api_rate_limit=0.25, api_rate_burst=3) as api:
            assert [(await api.get("/system/tree")).status for _ in range(3)] == [503] * 3
            for path in ("/system/tree", "/nowhere", "/data/candles"):
                refused = await api.get(path)
                assert (refused.status, refused.headers["Retry-After"]) == (429, "4")
                assert refused.body["type"] == "urn:data-manager:too_many_requests"
                assert refused.headers["X-Request-Id"]
            for path in ("/health/liveness", "/health/readiness", "/health/summary", "/metrics"):
                assert (await api.get(path)).status != 429
            api.clock.seconds += 4
            assert (await api.get("/system/tree")).status == 503
            assert (await api.get("/system/tree")).status == 429

    asyncio.run(run())


def test_behind_a_trusted_proxy_each_client_is_counted_for_itself(tmp_path: Path) -> None:
    async def run() -> None:
        options = {"api_rate_limit": 1.0, "api_rate_burst": 1, "api_trusted_proxies": ("127.0.0.0/8",)}
        async with serving(tmp_path, **options) as api:
            statuses = []
            for client in ("198.51.100.1", "198.51.100.2", "198.51.100.1"):
                headers = {"X-Forwarded-For": client}
                statuses.append((await api.request("GET", "/ledger", headers=headers)).status)
            assert statuses == [200, 200, 429]

    asyncio.run(run())


def test_without_the_setting_nobody_is_counted(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as api:
            assert {(await api.get("/ledger")).status for _ in range(300)} == {200}

    asyncio.run(run())

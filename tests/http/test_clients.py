"""Whom a request is counted for, whatever it says of itself."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from data_manager.http.clients import Clients

TRUSTED = ("10.0.0.0/8", "fd00::/8")


def named(peer: str, *forwarded: str, trusted: tuple[str, ...] = TRUSTED) -> str:
    transport = Mock()
    transport.get_extra_info = lambda key, default=None: (peer, 1) if key == "peername" else default
    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    request: web.Request = make_mocked_request("GET", "/", headers=headers, transport=transport)
    return Clients(trusted).name(request)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", (), "192.0.2.7"),
        ("192.0.2.7", ("198.51.100.1",), "192.0.2.7"),  # no proxy of ours: what it says counts for nothing
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("203.0.113.5, 198.51.100.1",), "198.51.100.1"),  # anybody may have written the first
        ("10.0.0.1", ("203.0.113.5", "198.51.100.1, 10.0.0.2"), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("fd00::1", ("2001:db8:1:2:3::4",), "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        ("2001:db8:1:2:ffff::9", (), "2001:db8:1:2::/64"),
    ],
)
def test_a_client_is_the_nearest_address_that_no_trusted_proxy_has(
    peer: str, forwarded: tuple[str, ...], client: str
) -> None:
    assert named(peer, *forwarded) == client


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r\n\0"), max_size=40), max_size=4))
def test_nothing_that_a_stranger_writes_changes_its_name(forwarded: list[str]) -> None:
    assert named("192.0.2.7", *forwarded) == "192.0.2.7"
    assert named("192.0.2.7", *forwarded, trusted=()) == "192.0.2.7"


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r\n\0"), max_size=40), max_size=4))
def test_a_proxy_that_passes_on_nonsense_is_no_fault(forwarded: list[str]) -> None:
    assert named("10.0.0.1", *forwarded)

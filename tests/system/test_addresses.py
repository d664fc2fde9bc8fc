"""What the service is told to talk to, or to trust; URLs of servers are tried in test_settings.py."""

from __future__ import annotations

import pytest

from data_manager.system.addresses import check_network, check_origin
from data_manager.system.settings import Settings


@pytest.mark.parametrize(
    "origin", ["*", "https://desk.example.com", "http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"]
)
def test_an_origin_is_what_browsers_send(origin: str) -> None:
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    "text",
    [
        "desk.example.com",
        "https://",
        "https://a/",
        "https://a/b",
        "https://A",
        "https://*.a",
        "ftp://a",
        "null",
        "a\nb",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        check_origin(text)


def test_credentials_in_an_origin_are_not_repeated() -> None:
    with pytest.raises(ValueError, match="is no origin") as refused:
        check_origin("https://me:secret@a")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "network"), [("10.0.0.0/8", "10.0.0.0/8"), ("192.168.1.7", "192.168.1.7/32"), ("fd00::/8", "fd00::/8")]
)
def test_a_network_is_in_cidr_form_or_one_address(text: str, network: str) -> None:
    assert check_network(text) == network


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "proxy", "300.1.1.1", "*"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        check_network(text)


def test_lists_of_them_have_commas_between() -> None:
    made = Settings.model_validate(
        {"api_cors_origins": "https://a, https://b", "api_trusted_proxies": "10.0.0.0/8,::1"}
    )
    assert made.api_cors_origins == ("https://a", "https://b")
    assert made.api_trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert Settings().api_cors_origins == Settings().api_trusted_proxies == ()

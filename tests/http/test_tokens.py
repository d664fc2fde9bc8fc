"""Who may change something; the routes' own tests show which of them ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from data_manager.http.errors import Refusal
from data_manager.http.tokens import Guard
from data_manager.system.errors import ConfigError
from data_manager.system.settings import Settings

TOKEN = "correct horse battery staple"


def guard(token: str | None = TOKEN) -> Guard:
    return Guard(Settings(api_token=None if token is None else SecretStr(token)))


def refused(token: str | None, header: str | None) -> int | None:
    """The status, or None for a request that may pass."""
    request = make_mocked_request("POST", "/x", headers={} if header is None else {"Authorization": header})
    try:
        guard(token).demand(request)
    except Refusal as refusal:
        return refusal.status
    return None


def test_the_token_passes_whatever_the_case_of_the_scheme() -> None:
    assert refused(TOKEN, f"Bearer {TOKEN}") is None
    assert refused(TOKEN, f"bearer   {TOKEN} ") is None


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_anything_else_is_401(header: str | None) -> None:
    assert refused(TOKEN, header) == 401


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", f"Bearer {TOKEN}"])
def test_without_a_token_nothing_passes(token: str | None, header: str | None) -> None:
    assert refused(token, header) == 403


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=60))
def test_no_other_text_is_taken_for_the_token(text: str) -> None:
    assert (refused(TOKEN, f"Bearer {text}") is None) == (text.strip() == TOKEN)


def test_a_route_that_was_open_stays_so_until_a_token_is_set() -> None:
    request = make_mocked_request("POST", "/x")
    guard(None).demand_if_set(request)
    with pytest.raises(Refusal) as refusal:
        guard().demand_if_set(request)
    assert refusal.value.status == 401
    assert refusal.value.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    guard = Guard(Settings(api_token_file=path))
    guard.demand(make_mocked_request("POST", "/x", headers={"Authorization": f"Bearer {TOKEN}"}))
    with pytest.raises(Refusal) as refusal:
        guard.demand_if_set(make_mocked_request("POST", "/x", headers={"Authorization": "Bearer "}))
    assert refusal.value.status == 401


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_file_without_a_token_is_the_operators_error_and_no_open_door(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"API_TOKEN_FILE .*token"):
        Guard(Settings(api_token_file=path))

"""Which stores follow from the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr
from pymongo.uri_parser import parse_uri
from sqlalchemy.engine import make_url

from data_manager.storage.choice import (
    DATABASE,
    Target,
    catalog_backend,
    catalog_url,
    check_choice,
    described,
    market_backend,
    mongo_target,
    mysql_target,
    open_market_store,
)
from data_manager.storage.mongo import MongoMarketStore
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.errors import ConfigError
from data_manager.system.settings import Settings

pure = hypothesis_settings(derandomize=True, deadline=None)
words = st.text(min_size=1, max_size=12)


def test_without_any_database_both_stores_are_sqlite(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert (market_backend(settings), catalog_backend(settings)) == ("sqlite", "sqlite")
    assert (mongo_target(settings), mysql_target(settings)) == (None, None)
    assert check_choice(settings) == []
    market = open_market_store(settings, SystemClock())
    assert isinstance(market, SqliteMarketStore)
    assert catalog_url(settings) == f"sqlite:///{tmp_path}/catalog.sqlite3"
    market.close()


@pytest.mark.parametrize("named", [{"mongodb_url": "mongodb://h:1/x"}, {"mongodb_host": "h"}])
def test_a_url_or_a_host_of_mongodb_chooses_it(named: dict[str, str]) -> None:
    settings = Settings.model_validate(named)
    assert (market_backend(settings), catalog_backend(settings)) == ("mongodb", "sqlite")
    store = open_market_store(settings, SystemClock())  # connects to nothing yet
    assert isinstance(store, MongoMarketStore)
    store.close()


@pytest.mark.parametrize("named", [{"mysql_uri": "mysql://h/x"}, {"mysql_host": "h"}])
def test_a_uri_or_a_host_of_mysql_chooses_it(named: dict[str, str]) -> None:
    settings = Settings.model_validate(named)
    assert (market_backend(settings), catalog_backend(settings)) == ("sqlite", "mysql")
    assert catalog_url(settings).startswith("mysql+pymysql://")


def test_the_database_is_the_urls_then_the_configured_then_the_originals() -> None:
    def names(**values: str) -> str | None:
        chosen = mongo_target(Settings.model_validate(values))
        return chosen and chosen.database

    assert names(mongodb_url="mongodb://h/mine", mongodb_db="other") == "mine"
    assert names(mongodb_url="mongodb://h/", mongodb_db="other") == "other"
    assert names(mongodb_url="mongodb+srv://h?w=1") == DATABASE
    assert names(mongodb_host="h", mongodb_db="other") == "other"
    assert mysql_target(Settings(mysql_uri="mysql://h", mysql_db="b")) == Target("mysql+pymysql://h/b", "b")


def test_two_names_that_differ_are_one_warning_that_says_which_is_used() -> None:
    settings = Settings(mongodb_url="mongodb://h/mine", mongodb_db="other", mysql_uri="mysql://h/x", mysql_db="x")
    (warning,) = check_choice(settings)
    assert warning == "MONGODB_DB is 'other', but the database's URL names 'mine', which is used."


def test_both_forms_of_a_mysql_uri_mean_the_same_driver() -> None:
    plain, driver = (mysql_target(Settings(mysql_uri=f"{scheme}://u:p@h/x")) for scheme in ("mysql", "mysql+pymysql"))
    assert plain == driver == Target("mysql+pymysql://u:p@h/x", "x")


@pure
@given(words, words, words)
def test_parts_make_urls_that_the_clients_read_back_whatever_they_contain(user: str, password: str, name: str) -> None:
    settings = Settings(
        mongodb_host="h",
        mongodb_user=user,
        mongodb_password=SecretStr(password),
        mysql_host="h",
        mysql_user=user,
        mysql_password=SecretStr(password),
    )
    mongo, mysql = mongo_target(settings), mysql_target(settings)
    assert mongo is not None
    assert mysql is not None
    parsed = parse_uri(mongo.url)
    assert (parsed["username"], parsed["password"], parsed["nodelist"]) == (user, password, [("h", 27017)])
    url = make_url(mysql.url)
    assert (url.username, url.password, url.host, url.port, url.database) == (user, password, "h", 3306, DATABASE)
    assert "@" not in str(described(settings))  # what comes before it are the credentials


def test_the_choice_is_described_without_credentials(tmp_path: Path) -> None:
    settings = Settings(mongodb_url="mongodb://me:secret@a:1,b:2/x?w=1", mysql_uri="mysql://me:secret@c/y")
    assert described(settings) == {"market_store": "mongodb://a:1,b:2/x", "catalog": "mysql+pymysql://c/y"}
    here = described(Settings(data_dir=tmp_path))
    assert here == {
        "market_store": f"sqlite files in {tmp_path}/market",
        "catalog": f"sqlite file {tmp_path}/catalog.sqlite3",
    }


def test_shared_stores_that_are_required_and_missing_are_named() -> None:
    with pytest.raises(ConfigError) as refused:
        check_choice(Settings(require_shared_stores=True))
    first, second = str(refused.value).splitlines()
    assert first.startswith("MONGODB_URL (or MONGODB_HOST) is not set")
    assert second.startswith("MYSQL_URI (or MYSQL_HOST) is not set")
    with pytest.raises(ConfigError, match=r"^MYSQL_URI"):
        check_choice(Settings(require_shared_stores=True, mongodb_host="h"))
    assert check_choice(Settings(require_shared_stores=True, mongodb_host="h", mysql_host="h")) == []


def test_candles_from_mysql_need_a_mysql() -> None:
    with pytest.raises(ConfigError, match="CANDLE_DATABASE_TYPE"):
        check_choice(Settings(candle_database_type="mysql"))
    assert check_choice(Settings(candle_database_type="mysql", mysql_host="h")) == []

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies
from pydantic import SecretStr, ValidationError

from data_manager.system.settings import (
    MAX_SLOT_S,
    RESERVED_SYMBOL,
    Delivery,
    Settings,
    StoragePolicy,
    is_symbol,
)

pure = settings(derandomize=True, deadline=None)

SECRET = "correct-horse"


def problem(**values: object) -> str:
    """The one sentence with which the model refuses these values."""
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(values)
    (error,) = refused.value.errors()
    return str(error["msg"])


def test_settings_survive_pickling_and_cannot_be_changed():
    made = Settings(api_port=1, api_token=SecretStr(SECRET), store_depth=StoragePolicy(mode="off"))
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(ValidationError, match="frozen"):
        made.api_port = 2  # type: ignore[misc]


def test_an_unknown_field_is_refused():
    assert "not permitted" in problem(api_prot=1)


def test_secrets_and_credentials_show_in_no_printed_form():
    made = Settings(nats_url=f"nats://user:{SECRET}@a:1,tls://{SECRET}@b:2", api_token=SecretStr(SECRET))
    for text in (repr(made), str(made), str(made.shown())):
        assert SECRET not in text
        assert "nats://***@a:1,tls://***@b:2" in text


def test_a_server_without_a_scheme_hides_its_credentials_too():
    assert Settings(nats_url=f"me:{SECRET}@host:4222").shown()["nats_url"] == "***@host:4222"


def test_shown_values_are_plain_json_and_make_the_same_settings():
    made = Settings(store_depth=StoragePolicy(mode="sampled", seconds=7), data_dir=Path("/d"))
    shown = made.shown()
    assert shown["store_depth"] == "sampled:7"
    assert shown["supported_pairs"] == list(made.supported_pairs)
    assert shown["data_dir"] == "/d"
    assert Settings.model_validate(shown) == made


# -- symbols ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BTCUSDT", "1000SHIBUSDT", "BTCUSDT_260626", "币安人生USDT", "A1"])
def test_names_that_the_exchange_uses_are_symbols(name: str):
    assert is_symbol(name)


@pytest.mark.parametrize("name", ["", "A", "btcusdt", "BTC-USDT", "BTC USDT", "A" * 21, "../ETC", "BTC/USDT", "É.X"])
def test_other_names_are_not(name: str):
    assert not is_symbol(name)


def test_a_list_of_symbols_is_trimmed_and_loses_empty_names_and_repeats():
    made = Settings.model_validate({"supported_pairs": " ETHUSDT , BTCUSDT,,ETHUSDT,"})
    assert made.supported_pairs == ("ETHUSDT", "BTCUSDT")


def test_lower_case_symbols_are_all_named_with_what_was_meant():
    sentence = problem(supported_pairs="btcusdt,ETHUSDT,bnbusdt")
    assert "'btcusdt', 'bnbusdt' cannot be a symbol" in sentence
    assert "did you mean BTCUSDT,ETHUSDT,BNBUSDT" in sentence


def test_no_upper_case_hint_is_given_where_it_would_not_help():
    assert "did you mean" not in problem(supported_pairs="btc-usdt")


def test_the_self_tests_symbol_is_reserved():
    assert "reserved" in problem(supported_pairs=f"BTCUSDT,{RESERVED_SYMBOL}")


@pytest.mark.parametrize("nothing", [",", " , ", []])
def test_a_list_without_a_symbol_is_refused(nothing: object):
    assert "name at least one" in problem(supported_pairs=nothing)


@pytest.mark.parametrize("value", [5, None, {"BTCUSDT": 1}])
def test_what_is_no_list_of_symbols_is_refused(value: object):
    assert "valid tuple" in problem(supported_pairs=value)


# -- storage policies ---------------------------------------------------------------------------------------


@pure
@given(strategies.integers(1, MAX_SLOT_S))
def test_a_sampled_policy_reads_back_as_it_is_written(seconds: int):
    policy = StoragePolicy(mode="sampled", seconds=seconds)
    assert StoragePolicy.parse(str(policy)) == policy
    assert policy.slot_ms == seconds * 1000


@pytest.mark.parametrize("mode", ["full", "off"])
def test_a_policy_without_slots_reads_back_as_it_is_written(mode: str):
    policy = StoragePolicy.parse(mode)
    assert str(policy) == mode
    assert isinstance(policy, StoragePolicy)
    assert policy.slot_ms == 0


@pytest.mark.parametrize("text", ["", "on", "sampled", "full:3", {"mode": "sampled"}, 5])
def test_anything_else_is_no_policy(text: object):
    assert "is no storage policy: write full, off or sampled:SECONDS" in problem(store_depth=text)


@pytest.mark.parametrize("seconds", ["", "0", "-1", "1.5", "3601", "99999", "٣"])
def test_a_slot_has_a_whole_number_of_seconds_up_to_an_hour(seconds: str):
    assert "at most 3600" in problem(store_depth=f"sampled:{seconds}")


# -- single values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "nats://localhost:4222",
        "tls://u:p@host",
        "host:4222",
        "nats://[::1]:4222",
        "embedded",
    ],
)
def test_nats_servers_are_accepted(url: str):
    assert Settings(nats_url=url).nats_url == url


@pytest.mark.parametrize(
    "url",
    ["http://host", "nats://", "nats://host:port", "nats://host:70000", "a:1,,b:2", "a b:1", "nats://[::1"],
)
def test_other_urls_are_refused_with_what_to_write(url: str):
    assert "is no NATS server: write nats://HOST:PORT or embedded" in problem(nats_url=url)


def test_a_refused_url_does_not_give_its_password_away():
    for url in (
        f"http://user:{SECRET}@host",
        f"nats://user:{SECRET} {SECRET}@host",
        f"u:{SECRET} {SECRET}@host",
    ):
        assert SECRET not in problem(nats_url=url)


def test_levels_and_modes_may_be_written_in_any_case():
    made = Settings.model_validate({"log_level": "warning", "delivery": "JetStream"})
    assert made.log_level == "WARNING"
    assert made.delivery is Delivery.JETSTREAM


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_time_is_positive_and_finite(seconds: float):
    assert problem(heartbeat_s=seconds)


@pytest.mark.parametrize("interval", ["10s", "500ms", "2m", "always"])
def test_the_brokers_sync_interval_is_a_duration_or_always(interval: str):
    assert Settings(nats_sync_interval=interval).nats_sync_interval == interval
    assert "match pattern" in problem(nats_sync_interval=f"{interval}?")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"heartbeat_s": 5, "heartbeat_miss_s": 5}, "HEARTBEAT_MISS_S must be greater than HEARTBEAT_S"),
        ({"store_timeout_s": 9, "heartbeat_miss_s": 9}, "HEARTBEAT_MISS_S must be greater than STORE_TIMEOUT_S"),
        ({"restart_backoff_s": 9, "restart_backoff_cap_s": 8}, "RESTART_BACKOFF_CAP_S must not be less"),
        ({"ingest_memory_soft_mb": 600}, "INGEST_MEMORY_HARD_MB must not be less"),
        ({"api_port": 9090}, "API_PORT and METRICS_PORT are both 9090"),
        ({"nats_cert_file": "c.pem"}, "NATS_CERT_FILE and NATS_KEY_FILE belong together"),
    ],
)
def test_values_that_are_wrong_together_are_refused(values: dict[str, object], sentence: str):
    assert sentence in problem(**values)


def test_both_ports_may_be_left_to_the_system():
    assert Settings(api_port=0, metrics_port=0).api_port == 0


def test_names_of_streams_and_subjects_carry_the_prefix():
    made = Settings(stream_prefix="test", data_dir=Path("d"))
    assert (made.feed_stream, made.market_stream) == ("test_feed", "test_market")
    assert made.market_subject("BTCUSDT") == "test.market.BTCUSDT"
    assert made.market_dir == Path("d/market")


# -- databases ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["mongodb://h:1/db", "mongodb+srv://u:p@cluster.example/db?w=1", "mongodb://a:1,b:2,c:3/?replicaSet=r"]
)
def test_mongodb_urls_are_accepted_as_they_are(url: str):
    assert Settings(mongodb_url=url).mongodb_url == url


@pytest.mark.parametrize("url", ["mysql://u:p@h:3306/db", "mysql+pymysql://u@h/db"])
def test_mysql_uris_are_accepted_in_both_forms(url: str):
    assert Settings(mysql_uri=url).mysql_uri == url


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("mongodb_url", f"postgres://me:{SECRET}@h/db"),
        ("mongodb_url", f"me:{SECRET}@h"),
        ("mysql_uri", f"mongodb://me:{SECRET}@h/db"),
        ("mysql_uri", f"mysql://me:{SECRET}@/db"),
        ("mysql_uri", f"mysql://me:{SECRET}@h h/db"),
    ],
)
def test_other_database_urls_are_refused_without_giving_the_password_away(name: str, url: str):
    sentence = problem(**{name: url})
    assert "is no database URL: write m" in sentence
    assert SECRET not in sentence


def test_database_passwords_show_in_no_printed_form():
    made = Settings(
        mongodb_url=f"mongodb://u:{SECRET}@h/db",
        mysql_uri=f"mysql://u:{SECRET}@h/db",
        mongodb_password=SecretStr(SECRET),
        mysql_password=SecretStr(SECRET),
    )
    for text in (repr(made), str(made), str(made.shown())):
        assert SECRET not in text


def test_a_disk_that_is_low_must_still_be_above_its_minimum():
    assert "DISK_LOW_MB" in problem(disk_low_mb=10, disk_min_mb=20)


@pytest.mark.parametrize(("timeframe", "days"), [("1h", 90), ("1d", 365)])
def test_bars_are_kept_for_as_long_as_an_analysis_needs_them(timeframe: str, days: int):
    name = f"klines_retention_days_{timeframe}"
    assert getattr(Settings.model_validate({name: days}), name) == days
    sentence = problem(**{name: days - 1})
    assert f"{name.upper()} is {days - 1} and must be at least {days}" in sentence


@pytest.mark.parametrize("timeframe", ["1m", "5m", "15m", "4h"])
def test_bars_that_no_analysis_needs_may_go_after_a_day(timeframe: str):
    assert Settings.model_validate({f"klines_retention_days_{timeframe}": 1})


# -- the exchange -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["https://fapi.binance.com", "http://127.0.0.1:8080", "https://fapi.binance.com/"])
def test_the_exchange_has_an_http_address_which_is_kept_without_a_final_slash(url: str):
    assert Settings(binance_fapi_base_url=url).binance_fapi_base_url == url.removesuffix("/")


@pytest.mark.parametrize(
    "url", ["", "fapi.binance.com", "wss://a", "https://", "http://a:x", "http://a b", "http://a/fapi", "http://a?b=c"]
)
def test_other_addresses_of_the_exchange_are_refused(url: str):
    assert "is no address of the exchange: write https://HOST" in problem(binance_fapi_base_url=url)


@pytest.mark.parametrize("url", ["wss://fstream.binance.com", "ws://127.0.0.1:8080", "wss://fstream.binance.com/"])
def test_its_streams_have_a_websocket_address(url: str):
    assert Settings(binance_ws_url=url).binance_ws_url == url.removesuffix("/")


@pytest.mark.parametrize("url", ["", "fstream.binance.com", "https://a", "wss://", "ws://a:x", "wss://a/market/stream"])
def test_other_addresses_of_its_streams_are_refused(url: str):
    assert "is no address of the exchange: write wss://HOST or ws://HOST:PORT" in problem(binance_ws_url=url)


@pytest.mark.parametrize(("name", "scheme"), [("binance_fapi_base_url", "https"), ("binance_ws_url", "wss")])
def test_an_address_of_the_exchange_takes_no_credentials_and_repeats_none(name: str, scheme: str):
    sentence = problem(**{name: f"{scheme}://me:{SECRET}@binance.com"})
    assert "is no address of the exchange" in sentence
    assert SECRET not in sentence


def test_events_of_the_exchange_and_of_its_simulation_never_meet_in_one_store():
    assert "FEED_ENABLED and EXCHANGE_ENABLED exclude each other" in problem(feed_enabled=True, exchange_enabled=True)


def test_a_token_is_given_in_one_way():
    assert "API_TOKEN and API_TOKEN_FILE exclude" in problem(api_token="a", api_token_file="/b")
    assert Settings(api_token_file=Path("/b")).has_api_token
    assert Settings(api_token=SecretStr("a")).has_api_token
    assert not Settings().has_api_token

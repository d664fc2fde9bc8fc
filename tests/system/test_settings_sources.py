import json
import re
from importlib import resources
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies
from pydantic import SecretStr

from data_manager.system.errors import ConfigError
from data_manager.system.settings import Settings
from data_manager.system.settings_sources import ACCEPTED, NAMES, PACKAGED, Loaded, load
from tests.log_capture import logs_to

pure = settings(derandomize=True, deadline=None, max_examples=60)


# Written by hand from the compatibility contract, so that a name dropped from the code is noticed.
ORIGINAL_NAMES = """
ENVIRONMENT LOG_LEVEL NATS_URL NATS_CONSUMER_SUBJECT NATS_CONNECT_TIMEOUT NATS_MAX_RECONNECT_ATTEMPTS
NATS_RECONNECT_TIME_WAIT NATS_CLIENT_NAME
MYSQL_HOST MYSQL_PORT MYSQL_USER MYSQL_PASSWORD MYSQL_DB MYSQL_URI
MONGODB_HOST MONGODB_PORT MONGODB_USER MONGODB_PASSWORD MONGODB_DB MONGODB_URL
ENABLE_AUDITOR ENABLE_BACKFILLER ENABLE_ANALYTICS ENABLE_API
AUDIT_INTERVAL ANALYTICS_INTERVAL HEALTH_CHECK_INTERVAL API_HOST API_PORT API_WORKERS
BINANCE_API_BASE_URL BINANCE_FAPI_BASE_URL BINANCE_API_KEY BINANCE_API_SECRET BINANCE_RATE_LIMIT
MAX_BATCH_SIZE MAX_CONCURRENT_TASKS MESSAGE_QUEUE_SIZE GAP_TOLERANCE_SECONDS MIN_GAP_SIZE_SECONDS
DEFAULT_VOLATILITY_WINDOW DEFAULT_VOLUME_WINDOW DEFAULT_TREND_WINDOW HEALTH_CHECK_PORT METRICS_PORT
OTEL_ENABLED OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME SUPPORTED_PAIRS
ENABLE_LEADER_ELECTION LEADER_ELECTION_HEARTBEAT_INTERVAL LEADER_ELECTION_TIMEOUT
ENABLE_AUTO_BACKFILL MIN_AUTO_BACKFILL_GAP MAX_AUTO_BACKFILL_JOBS
ENABLE_DUPLICATE_REMOVAL DUPLICATE_RESOLUTION_STRATEGY
DB_HEALTH_CHECK_INTERVAL DB_RECONNECT_MAX_ATTEMPTS DB_RECONNECT_BACKOFF_BASE DB_CONNECTION_TIMEOUT
API_MAX_PAGE_SIZE API_DEFAULT_PAGE_SIZE API_MAX_BATCH_SIZE API_QUERY_TIMEOUT
RAW_QUERY_ENABLED RAW_QUERY_TIMEOUT RAW_QUERY_MAX_RESULTS
LOG_REQUEST_DETAILS LOG_RESPONSE_DETAILS LOG_QUERY_DETAILS
SCHEMA_VALIDATION_ENABLED SCHEMA_STRICT_MODE SCHEMA_CACHE_TTL SCHEMA_AUTO_REGISTER SCHEMA_MAX_VERSIONS
SCHEMA_COMPATIBILITY_MODE
INITIAL_STARTUP_DELAY CANDLE_DATABASE_TYPE DB_ADAPTER EXTRACTOR_DB_ADAPTER
MONGO_DATA_SIZE_REFRESH_INTERVAL ENABLE_MONGO_DATA_SIZE_GAUGE
TRADES_RETENTION_DAYS HEALTH_METRICS_RETENTION_DAYS
KLINES_RETENTION_DAYS_1M KLINES_RETENTION_DAYS_5M KLINES_RETENTION_DAYS_15M
KLINES_RETENTION_DAYS_1H KLINES_RETENTION_DAYS_4H KLINES_RETENTION_DAYS_1D
KLINES_RETENTION_DAYS_3M KLINES_RETENTION_DAYS_30M KLINES_RETENTION_DAYS_2H KLINES_RETENTION_DAYS_6H
KLINES_RETENTION_DAYS_8H KLINES_RETENTION_DAYS_12H KLINES_RETENTION_DAYS_3D KLINES_RETENTION_DAYS_1W
"""
# For those of them that take a URL.
URLS = {"MONGODB_URL": "mongodb://h/db", "MYSQL_URI": "mysql://h/db", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4317"}

# A value for each source that differs from the default and from the other sources' values.
BY_SOURCE = {
    "api_port": ("8001", "8002", "8003"),
    "supported_pairs": ("AAUSDT", "BBUSDT", "CCUSDT"),
    "store_ticker": ("sampled:2", "sampled:3", "off"),
    "log_level": ("DEBUG", "WARNING", "ERROR"),
    "api_token": ("one", "two", "three"),
    "linger_ms": ("1", "2", "3"),
    "data_dir": ("/one", "/two", "/three"),
}


def problems(
    flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, file: Path | None = None
) -> list[str]:
    """The sentences with which loading fails."""
    with pytest.raises(ConfigError) as refused:
        load(flags or {}, environ or {}, file)
    return str(refused.value).splitlines()


def from_file(path: Path, text: str) -> Loaded:
    path.write_text(text, encoding="utf-8")
    return load({}, {}, path)


# -- precedence and origins ---------------------------------------------------------------------------------


def test_without_any_source_the_packaged_file_speaks_and_says_the_defaults():
    loaded = load({}, {})
    assert loaded.settings == Settings()
    assert type(loaded.settings) is Settings
    assert loaded.settings.model_fields_set <= set(Settings.model_fields)
    assert set(loaded.origins) == set(Settings.model_fields)
    assert set(loaded.origins.values()) == {PACKAGED, "default"}
    assert not loaded.warnings
    assert not loaded.without_effect


def test_the_packaged_file_explains_every_setting():
    text = (resources.files("data_manager") / PACKAGED).read_text(encoding="utf-8")
    assert re.findall(r"^([a-z_0-9]+):", text, re.MULTILINE) == list(Settings.model_fields)


@pure
@given(strategies.dictionaries(strategies.sampled_from(sorted(BY_SOURCE)), strategies.sets(strategies.integers(0, 2))))
def test_flags_go_before_the_environment_before_the_file_before_defaults(
    tmp_path_factory: pytest.TempPathFactory, given_in: dict[str, set[int]]
):
    file = tmp_path_factory.mktemp("config") / "settings.yaml"
    values = [{name: BY_SOURCE[name][i] for name in given_in if i in given_in[name]} for i in range(3)]
    file.write_text(json.dumps(values[2]), encoding="utf-8")
    loaded = load(values[0], {name.upper(): value for name, value in values[1].items()}, file)

    strongest = {name: BY_SOURCE[name][min(sources)] for name, sources in given_in.items() if sources}
    assert loaded.settings == Settings.model_validate(strongest)
    labels = ("flag", "environment", f"file {file}")
    for name in Settings.model_fields:
        sources = given_in.get(name)
        assert loaded.origins[name] == (labels[min(sources)] if sources else "default")


def test_the_file_is_the_flags_else_the_environments(tmp_path: Path):
    for port in (1, 2):
        (tmp_path / f"{port}.yaml").write_text(f"api_port: {port}")
    environ = {"DATA_MANAGER_CONFIG": str(tmp_path / "1.yaml")}
    assert load({}, environ).settings.api_port == 1
    assert load({}, environ, tmp_path / "2.yaml").settings.api_port == 2
    assert load({}, {"DATA_MANAGER_CONFIG": " "}).origins["api_port"] == PACKAGED


@pure
@given(strategies.sampled_from(sorted(NAMES)), strategies.sampled_from(["", " ", "\t", "\n"]))
def test_empty_means_unset_in_every_source(tmp_path_factory: pytest.TempPathFactory, name: str, empty: str):
    file = tmp_path_factory.mktemp("config") / "settings.yaml"
    for text in (f"{name}: {json.dumps(empty)}", f"{name}:", f"{name}: null", f"{name}: ~"):
        file.write_text(text)
        loaded = load({name: empty}, {name: empty}, file)
        assert loaded.settings == Settings()
        assert loaded.origins[name.lower()] == "default"


def test_a_flag_that_was_not_given_is_unset():
    assert load({"api_port": None}, {"API_PORT": "7"}).settings.api_port == 7


def test_white_space_around_a_value_is_not_part_of_it():
    assert load({}, {"API_TOKEN": "token\n", "API_PORT": " 7 "}).settings.api_token == SecretStr("token")


def test_what_was_set_in_vain_is_logged_once():
    loaded = load({}, {"NATS_ULR": "x", "BINANCE_API_SECRET": "secret", "API_WORKERS": "4"})
    out = StringIO()
    with logs_to(out):
        loaded.report()
        load({}, {}).report()
    warning, vain = map(json.loads, out.getvalue().splitlines())
    assert (warning["level"], warning["problem"]) == ("WARNING", loaded.warnings[0])
    assert vain["settings"] == loaded.without_effect
    assert [line.split(" ")[0] for line in vain["settings"]] == ["API_WORKERS", "BINANCE_API_SECRET"]
    assert "secret" not in out.getvalue()


# -- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORIGINAL_NAMES.split())
def test_every_name_of_the_original_is_a_setting_or_said_to_be_without_effect(name: str, tmp_path: Path):
    value = URLS.get(name) or load({}, {}).settings.shown().get(name.lower()) or "1"
    text = ",".join(value) if isinstance(value, list) else str(value)
    by_environment = load({}, {name: text})
    by_file = from_file(tmp_path / "settings.yaml", f"{name.lower()}: {json.dumps(text)}")
    for loaded, origin in ((by_environment, "environment"), (by_file, f"file {tmp_path / 'settings.yaml'}")):
        assert not loaded.warnings
        if name in NAMES:
            assert loaded.origins[name.lower()] == origin
            assert not loaded.without_effect
        else:
            (line,) = loaded.without_effect
            assert line.startswith(f"{name} ({origin}): ")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("POSTGRES_HOST", "MYSQL_HOST"),
        ("POSTGRES_USER", "MYSQL_USER"),
        ("POSTGRES_PASSWORD", "MYSQL_PASSWORD"),
        ("POSTGRES_DB", "MYSQL_DB"),
    ],
)
def test_a_name_that_the_original_read_before_its_present_one_is_a_problem(name: str, instead: str):
    (sentence,) = problems(environ={name: "secret"})
    assert sentence == f"{name} (environment) is not read any more: set {instead} instead."
    assert not load({}, {name: " "}).warnings


def test_what_kubernetes_sets_for_a_service_called_postgres_is_ignored():
    set_by_kubernetes = {"POSTGRES_PORT": "tcp://10.0.0.1:5432", "POSTGRES_SERVICE_HOST": "10.0.0.1"}
    assert not load({}, set_by_kubernetes).warnings


def test_an_empty_name_without_effect_is_not_worth_a_line():
    assert not load({}, {"MYSQL_PASSWORD": "", "BINANCE_API_KEY": " "}).without_effect


unknown_names = strategies.from_regex(r"[a-z][a-z_]{2,25}", fullmatch=True).filter(
    lambda name: name.upper() not in ACCEPTED and not name.startswith(("schema_", "klines_retention_days_"))
)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(strategies.dictionaries(unknown_names, strategies.text("abc", max_size=3), min_size=1, max_size=4))
def test_each_unknown_name_in_flags_or_file_is_a_problem_that_names_a_known_one(
    tmp_path_factory: pytest.TempPathFactory, unknown: dict[str, str]
):
    file = tmp_path_factory.mktemp("config") / "settings.yaml"
    file.write_text(json.dumps(unknown))
    for origin, sentences in (("flag", problems(dict(unknown))), (f"file {file}", problems(file=file))):
        assert len(sentences) == len(unknown)
        for name, sentence in zip(unknown, sentences, strict=True):
            stated = re.fullmatch(
                rf"{name} \({re.escape(origin)}\) is not a known setting; the nearest name is (\w+)\.",
                sentence,
            )
            assert stated is not None
            assert stated[1] in ACCEPTED


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("nats_ulr", "NATS_URL"),
        ("api_prot", "API_PORT"),
        ("pairs", "SUPPORTED_PAIRS"),
        ("store-depth", "STORE_DEPTH"),
    ],
)
def test_the_nearest_name_is_the_one_that_was_meant(typed: str, meant: str):
    (sentence,) = problems({typed: "x"})
    assert sentence.endswith(f"the nearest name is {meant}.")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NATS_ULR", "NATS_URL"),
        ("MONGODB_URI", "MONGODB_URL"),
        ("SUPORTED_PAIR", "SUPPORTED_PAIRS"),
        ("DATA_MANAGER_CONFIGS", "DATA_MANAGER_CONFIG"),
        ("api_port", "API_PORT"),
    ],
)
def test_a_mistyped_name_in_the_environment_is_a_warning(name: str, meant: str):
    loaded = load({}, {name: "x"})
    assert loaded.settings == Settings()
    assert loaded.warnings == [f"{name} (environment) is not known and ignored; did you mean {meant}?"]


@pytest.mark.parametrize("name", ["PATH", "HOME", "KUBERNETES_SERVICE_HOST", "POSTGRES_PORT", "NATS_SERVER", "_"])
def test_other_names_of_the_environment_are_nobodys_business(name: str):
    assert load({}, {name: "x"}) == load({}, {})


# -- values -------------------------------------------------------------------------------------------------


def test_all_problems_of_all_sources_are_told_at_once(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("api_host: [a]\nfoo: 1\n")
    sentences = problems({"api_port": "http", "bar": 1}, {"METRICS_PORT": "70000", "SUPPORTED_PAIRS": "btcusdt"}, file)
    assert sorted(sentence.split(" ")[0] for sentence in sentences) == sorted(
        ["API_PORT", "bar", "METRICS_PORT", "SUPPORTED_PAIRS", "API_HOST", "foo"]
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("API_PORT", "http", "API_PORT (environment): 'http' should be a whole number."),
        ("API_PORT", "70000", "API_PORT (environment): '70000' should be less than or equal to 65535."),
        ("ENABLE_API", "maybe", "ENABLE_API (environment): 'maybe' should be true or false."),
        ("HEARTBEAT_S", "soon", "HEARTBEAT_S (environment): 'soon' should be a number."),
        ("API_DIALECT", "v12", "API_DIALECT (environment): 'v12' should be 'v11', 'head' or 'both'."),
        (
            "HEARTBEAT_S",
            "11",
            "HEARTBEAT_MISS_S must be greater than HEARTBEAT_S, or every actor is taken for hung.",
        ),
        (
            "SUPPORTED_PAIRS",
            "btcusdt",
            "SUPPORTED_PAIRS (environment): 'btcusdt' cannot be a symbol: "
            "use 2 to 20 upper-case letters, digits or '_'; did you mean BTCUSDT.",
        ),
    ],
)
def test_a_wrong_value_gets_one_sentence_with_name_place_and_remedy(name: str, value: str, sentence: str):
    assert problems(environ={name: value}) == [sentence]


def test_a_problem_names_the_source_whose_value_counts(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("api_port: one")
    assert problems(file=file) == [f"API_PORT (file {file}): 'one' should be a whole number."]
    assert load({"api_port": 1}, {}, file).settings.api_port == 1


def test_the_value_of_a_secret_is_not_repeated(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("api_token: [hunter2]")
    (sentence,) = problems(file=file)
    assert "hunter2" not in sentence
    assert sentence.startswith("API_TOKEN")


def test_the_password_of_a_wrong_url_is_not_repeated():
    (sentence,) = problems(environ={"NATS_URL": "http://me:hunter2@host"})
    assert "hunter2" not in sentence


def test_a_long_wrong_value_is_cut():
    (sentence,) = problems({"api_port": "x" * 10_000})
    assert len(sentence) < 200


# -- the file -----------------------------------------------------------------------------------------------


def test_values_of_the_file_mean_what_they_mean_in_the_environment(tmp_path: Path):
    text = """
        store_depth: off
        enable_api: no
        supported_pairs: [NOUSDT, ON]
        store_ticker: sampled:3
        api_port: 010
    """
    made = from_file(tmp_path / "settings.yaml", text).settings
    environ = {
        "STORE_DEPTH": "off",
        "ENABLE_API": "no",
        "SUPPORTED_PAIRS": "NOUSDT,ON",
        "STORE_TICKER": "sampled:3",
        "API_PORT": "010",
    }
    assert made == load({}, environ).settings
    assert made.supported_pairs == ("NOUSDT", "ON")
    assert not made.enable_api


def test_a_truth_value_is_no_port(tmp_path: Path):
    (tmp_path / "settings.yaml").write_text("api_port: yes")
    assert "'yes' should be a whole number" in problems(file=tmp_path / "settings.yaml")[0]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}"])
def test_a_file_without_settings_changes_nothing(tmp_path: Path, text: str):
    assert from_file(tmp_path / "settings.yaml", text).settings == Settings()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: 1\n  b: 2\n", "is wrong in line 2: mapping values are not allowed here."),
        (b"api_port: 1\nAPI_PORT: 2\n", "is wrong in line 2: API_PORT is given twice."),
        (b"- api_port\n", "must hold lines of the form `name: value`."),
        (b"just text", "must hold lines of the form `name: value`."),
        (b"api_port: \xff", "is not UTF-8 text: invalid start byte at byte 10."),
        (b"api_port: \x00", "is no valid YAML: "),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: bytes, problem: str):
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    (sentence,) = problems(file=file)
    assert sentence.startswith(f"file {file} {problem}")


def test_a_missing_file_or_a_folder_says_where_the_name_came_from(tmp_path: Path):
    assert problems(file=tmp_path / "none.yaml") == [
        f"file {tmp_path / 'none.yaml'} cannot be read, No such file or directory: "
        "check --config and DATA_MANAGER_CONFIG."
    ]
    assert "Is a directory" in problems(environ={"DATA_MANAGER_CONFIG": str(tmp_path)})[0]

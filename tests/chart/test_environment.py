"""The environment that the chart gives to each container, as the program reads it: known names, and none in vain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.choice import MONGO, MYSQL, SQLITE, catalog_backend, check_choice, market_backend
from data_manager.system.commands.checks import memory
from data_manager.system.errors import ConfigError
from data_manager.system.settings import EMBEDDED, Settings
from data_manager.system.settings_sources import ENVIRONMENT, NAMES, Loaded, load
from data_manager.system.tree import specs_of
from tests.chart.rendering import DEFAULTS, SETS, Object, Rendered, render, rendered

ALL = [DEFAULTS, *SETS]
MIB = 2**20


def read(made: Rendered, container: Object | None = None) -> Loaded:
    """What `load_settings` makes of a container's environment."""
    loaded = load({}, made.environment(container or made.container))
    return loaded._replace(warnings=[*loaded.warnings, *check_choice(loaded.settings)])


def memory_limit(made: Rendered) -> int:
    """Of the service's container, in bytes."""
    limit = made.container["resources"]["limits"]["memory"]
    return int(limit[:-2]) * MIB * {"Mi": 1, "Gi": 1024}[limit[-2:]]


def settings(values: dict[str, Any]) -> Settings:
    return read(render(values)).settings


@pytest.mark.parametrize("name", ALL)
def test_every_container_is_given_only_names_that_the_program_knows_and_uses(name: str) -> None:
    made = rendered(name)
    for container in made.containers():
        assert made.environment(container).keys() <= NAMES
        loaded = read(made, container)
        assert (loaded.warnings, loaded.without_effect) == ([], [])


@pytest.mark.parametrize("name", ALL)
def test_ports_and_folder_are_where_the_rest_of_the_chart_expects_them(name: str) -> None:
    made = rendered(name)
    found = read(made).settings
    ports = {port["name"]: port["containerPort"] for port in made.container["ports"]}
    assert ports == {"http": found.api_port, "metrics": found.metrics_port}
    assert str(found.data_dir) in [mount["mountPath"] for mount in made.container["volumeMounts"]]
    annotations = made.one("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations.get("prometheus.io/port", str(found.metrics_port)) == str(found.metrics_port)


@pytest.mark.parametrize("name", ALL)
def test_the_memory_limit_is_above_the_sum_of_all_limits_of_the_actors(name: str) -> None:
    made = rendered(name)
    found = read(made).settings
    assert memory_limit(made) > MIB * sum(spec.memory_hard_mb or 0 for spec in specs_of(found, found.supported_pairs))


@pytest.mark.parametrize("name", ALL)
def test_doctor_finds_enough_memory_in_the_container_on_a_large_node(name: str) -> None:
    made = rendered(name)
    found = read(made).settings
    container = memory.Memory(available=2**40, limit=memory_limit(made), used=0)
    check = memory.judged(len(found.supported_pairs), found.ingest_memory_hard_mb, container, None)
    assert check.verdict == "ok", check.found


@pytest.mark.parametrize("name", ALL)
def test_there_is_time_to_drain_before_the_pod_is_killed(name: str) -> None:
    made = rendered(name)
    (_, seconds) = made.container["lifecycle"]["preStop"]["exec"]["command"]
    assert made.pod["terminationGracePeriodSeconds"] > int(seconds) + read(made).settings.drain_timeout_s


def test_the_originals_installation_reads_and_writes_where_it_did() -> None:
    found = read(rendered(DEFAULTS)).settings
    assert found.nats_url == "nats://nats.nats:4222"
    assert found.mongodb_url == "mongodb+srv://petrosa:secret@cluster.example/petrosa_data_manager"
    assert found.mysql_uri == "mysql+pymysql://petrosa:secret@mysql.example:3306/petrosa_crypto"
    assert (market_backend(found), catalog_backend(found)) == (MONGO, MYSQL)
    assert found.require_shared_stores
    assert found.environment == "production"


def test_the_older_key_of_mongodb_is_a_value() -> None:
    assert settings({"secret": {"mongodbKey": "mongodb-url"}}).mongodb_url == (
        "mongodb://petrosa:secret@mongo.example:27017/"
    )


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({"secret": {"mongodbKey": "no-such-key"}}, "no-such-key"),
        ({"secret": {"existingSecret": "no-such-secret"}}, "no-such-secret"),
        ({"commonConfig": "no-such-map"}, "no-such-map"),
    ],
)
def test_what_is_missing_keeps_a_pod_from_starting(missing: dict[str, Any], named: str) -> None:
    with pytest.raises(KeyError, match=named):
        settings(missing)


def test_on_sqlite_no_server_is_named_and_none_required() -> None:
    found = read(rendered("minimal")).settings
    assert (market_backend(found), catalog_backend(found)) == (SQLITE, SQLITE)
    assert not found.require_shared_stores
    assert found.data_dir == Path("/data")


@pytest.mark.parametrize(("market", "catalog"), [("mongodb", "sqlite"), ("sqlite", "mysql")])
def test_stores_are_chosen_one_by_one(market: str, catalog: str) -> None:
    alone = {"replicaCount": 1, "autoscaling": {"enabled": False}, "persistence": {"enabled": True}}
    found = settings({**alone, "stores": {"market": market, "catalog": catalog}})
    assert (market_backend(found), catalog_backend(found)) == (market, catalog)


def test_the_demo_has_all_it_needs_inside() -> None:
    made = rendered("demo")
    found = read(made).settings
    assert found.nats_url == EMBEDDED
    assert found.exchange_enabled
    assert (market_backend(found), catalog_backend(found)) == (SQLITE, SQLITE)
    assert not [entry for entry in made.container["env"] if "secretKeyRef" in str(entry)]
    assert [source["configMapRef"]["name"] for source in made.container["envFrom"]] == ["petrosa-data-manager-config"]


def test_a_url_of_nats_with_a_password_comes_from_the_secret() -> None:
    made = render({"secret": {"env": {"NATS_URL": "nats-url"}}})
    urls = [entry for entry in made.container["env"] if entry["name"] == "NATS_URL"]
    wanted = {"name": "petrosa-sensitive-credentials", "key": "nats-url"}
    assert urls == [{"name": "NATS_URL", "valueFrom": {"secretKeyRef": wanted}}]


def test_an_own_url_of_nats_goes_before_the_shared_one_and_settings_before_shared_settings() -> None:
    made = render({"nats": {"url": "nats://mine:4222"}, "config": {"LOG_LEVEL": "ERROR"}})
    assert read(made).settings.nats_url == "nats://mine:4222"
    first, second = (source["configMapRef"]["name"] for source in made.container["envFrom"])
    assert (first, second) == ("petrosa-common-config", "petrosa-data-manager-config")


def test_secrets_are_read_under_their_keys() -> None:
    found = read(rendered("everything")).settings
    assert found.api_token is not None
    assert found.api_token.get_secret_value() == "a token"
    assert found.mysql_uri == "mysql://petrosa:secret@mysql.example/petrosa_crypto"


def test_the_job_migrates_with_the_account_of_its_own_secret_and_needs_no_other() -> None:
    made = rendered("everything")
    (container,) = made.one("Job")["spec"]["template"]["spec"]["containers"]
    loaded = read(made, container)
    assert loaded.settings.mysql_uri == "mysql://owner:secret@mysql.example/petrosa_crypto"
    assert loaded.settings.mongodb_url is None
    assert loaded.origins["mysql_uri"] == ENVIRONMENT


def test_a_setting_that_is_misspelt_is_found_by_the_program_though_the_chart_takes_it() -> None:
    made = render({"config": {"SUPORTED_PAIRS": "BTCUSDT"}})
    assert "did you mean SUPPORTED_PAIRS" in read(made).warnings[0]


def test_a_setting_that_is_wrong_is_refused_by_the_program() -> None:
    with pytest.raises(ConfigError, match="LOG_LEVEL"):
        settings({"config": {"LOG_LEVEL": "LOUD"}})

"""What a whole run shares: servers, each test in a database of its own, and how properties are tried."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import pymongo
import pymysql
import pytest

from tests.servers.databases import MariaDbServer, MongoServer

_numbers = count(1)

# The same examples in every run, and no verdict on how fast this machine is today.
hypothesis.settings.register_profile(
    "tests", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """One for the whole run; tests that stop it start their own."""
    with MongoServer(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDbServer]:
    """One for the whole run; tests that stop it start their own."""
    with MariaDbServer(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def new_mongo(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes empty databases, as URIs; they are dropped at the end."""
    given = os.environ.get("MONGO_TEST_URI")
    made = []

    def new() -> str:
        name = f"data_manager_test_{os.getpid()}_{next(_numbers)}"
        server = None if given else request.getfixturevalue("mongo_server")
        uri = server.uri(name) if server else urlunsplit(urlsplit(given)._replace(path=f"/{name}"))
        made.append((uri, name))
        return str(uri)

    yield new
    for uri, name in made:
        with pymongo.MongoClient[dict[str, object]](uri) as client:
            client.drop_database(name)


@pytest.fixture
def new_mysql(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes empty databases, as URIs; they are dropped at the end."""
    given = os.environ.get("MYSQL_TEST_URI")
    server = urlsplit(given or request.getfixturevalue("mariadb_server").uri(""))
    made = []

    def run(statement: str) -> None:
        connection = pymysql.connect(
            host=server.hostname,
            port=server.port or 3306,
            user=server.username,
            password=(server.password or "").replace("%20", " "),
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def new() -> str:
        name = f"data_manager_test_{os.getpid()}_{next(_numbers)}"
        run(f"CREATE DATABASE `{name}`")
        made.append(name)
        return urlunsplit(server._replace(path=f"/{name}"))

    yield new
    for name in made:
        run(f"DROP DATABASE `{name}`")

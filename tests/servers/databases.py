"""Real database servers for tests: SecantusDB, which speaks MongoDB's wire protocol, and MariaDB.

Each has a folder of its own and a free port that it keeps over restarts. One that is not installed is an error,
not a skip. `MONGO_TEST_URI` and `MYSQL_TEST_URI` name servers of the user's choice for the contract suite; tests
that kill or restart a server always start their own.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import pymongo
import pymongo.errors
import pymysql

from tests.eventually import eventually_sync

SECANTUS = Path(sys.executable).with_name("secantusd-py")
USER, PASSWORD = "data_manager", "only for tests"


class DatabaseServer:
    """`with MongoServer(tmp_path) as server: ... server.uri(database)`; nothing is left running after the block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start, or start again with the same data; returns when clients can connect."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        eventually_sync(self._answers, 30, every=0.05)
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait for the end; harmless when it is not running."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def kill(self) -> None:
        """What the out-of-memory killer does."""
        self.stop(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def command(self) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the folder ready for the first start."""

    def connects(self) -> None:
        """Return when a client can connect; raise CONNECTION_ERRORS otherwise."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "server.log").read_text(errors="replace")[-4000:])
        try:
            self.connects()
        except (pymongo.errors.PyMongoError, pymysql.err.OperationalError):
            return False
        return True


class MongoServer(DatabaseServer):
    """SecantusDB (a test requirement, in a process of its own); `--sync-on-commit` so that a kill loses nothing."""

    def command(self) -> list[str]:
        """See DatabaseServer."""
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(self.folder / "data")]
        return [str(SECANTUS), *place, "--sync-on-commit", "--log-level", "WARNING"]

    def connects(self) -> None:
        """See DatabaseServer."""
        with pymongo.MongoClient[dict[str, object]](self.uri("admin"), serverSelectionTimeoutMS=500) as client:
            client.admin.command("ping")

    def uri(self, database: str) -> str:
        """Of one database."""
        return f"mongodb://127.0.0.1:{self.port}/{database}"


class MariaDbServer(DatabaseServer):
    """The distribution's mariadbd."""

    def command(self) -> list[str]:
        """See DatabaseServer."""
        return [
            "mariadbd",
            *self._options(),
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--init-file={self.folder}/init.sql",
            "--skip-name-resolve",
            "--max-connections=100",
        ]

    def prepare(self) -> None:
        """See DatabaseServer."""
        if (self.folder / "data").exists():
            return
        subprocess.run(
            [
                "mariadb-install-db",
                *self._options(),
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n"
        )

    def connects(self) -> None:
        """See DatabaseServer."""
        self.connect().close()

    def connect(self, database: str | None = None) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        """A connection that commits each statement."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database, autocommit=True
        )

    def make_database(self, name: str) -> str:
        """A new empty database, as a plain server makes it (its default character set); its URI."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}`")
        return self.uri(name)

    def uri(self, database: str) -> str:
        """Of one database, in the original's form."""
        return f"mysql://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def _options(self) -> list[str]:
        return [
            "--no-defaults",
            f"--datadir={self.folder}/data",
            # ours, root or not: pytest shuts its folders to everybody else, again and again
            f"--user={pwd.getpwuid(os.geteuid()).pw_name}",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=1",
            "--skip-log-bin",
            "--innodb-data-file-path=ibdata1:2M:autoextend",
            "--innodb-temp-data-file-path=ibtmp1:2M:autoextend",
            "--character-set-server=latin1",  # as the original's server was found
        ]


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

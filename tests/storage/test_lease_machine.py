"""Any sequence of what several replicas do, and of what becomes of them: one owner at a time, and tokens that grow."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, text

from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.catalog_tables import leases as table
from data_manager.storage.fencing import Fence
from data_manager.storage.leases import LEASE_S, NOBODY, Lease, Leases
from data_manager.system.errors import StaleLease

OWNERS, NAMES = ("a", "b", "c"), ("router", "ingest/BTCUSDT", "ingest/ETHUSDT")

owners, names = st.sampled_from(OWNERS), st.sets(st.sampled_from(NAMES))
LATER = text(
    "UPDATE data_manager_leases SET "
    "expires_at = strftime('%Y-%m-%d %H:%M:%f', expires_at, :by) || '000', acquired_at = acquired_at"
)


class LeaseMachine(RuleBasedStateMachine):
    """Replicas that take, renew and give back, crash and wake up late; and time that passes.

    `said` is what each replica was last told that it has, which a paused one goes on believing.
    """

    database: CatalogDatabase

    @initialize()
    def begin(self) -> None:
        self.leases = Leases(self.database)
        self.database.write(lambda connection: connection.execute(delete(table)))
        self.held: dict[str, tuple[str, int, float]] = {}  # name -> owner, token and the time left
        self.said: dict[str, dict[str, int]] = {owner: {} for owner in OWNERS}
        self.tokens: dict[str, list[tuple[str, int]]] = {name: [] for name in NAMES}

    @rule(owner=owners, names=names)
    def take(self, owner: str, names: set[str]) -> None:
        expected = {}
        for name in names:
            holder, token, left = self.held.get(name, (NOBODY, 0, 0.0))
            if holder != owner and left > 0:
                continue
            expected[name] = token if holder == owner else token + 1
            self.held[name] = owner, expected[name], LEASE_S
        self.learn(owner, self.leases.take(owner, names), expected)

    @rule(owner=owners, names=names)
    def renew(self, owner: str, names: set[str]) -> None:
        mine = {name: self.held[name][1] for name in names if self.held.get(name, (NOBODY,))[0] == owner}
        self.held.update({name: (owner, token, LEASE_S) for name, token in mine.items()})
        self.learn(owner, self.leases.renew(owner, names), mine)

    @rule(owner=owners, names=names)
    def release(self, owner: str, names: set[str]) -> None:
        self.leases.release(owner, names)
        for name in names:
            if self.held.get(name, (NOBODY,))[0] == owner:
                self.held[name] = NOBODY, self.held[name][1] + 1, 0.0
            self.said[owner].pop(name, None)

    @rule(seconds=st.sampled_from([0.5, 4.0, LEASE_S + 1]))
    def pass_time(self, seconds: float) -> None:
        """By the database's clock: as if all leases were that much older."""
        self.database.write(lambda connection: connection.execute(LATER, {"by": f"{-seconds:+.3f} seconds"}))
        self.held = {name: (owner, token, left - seconds) for name, (owner, token, left) in self.held.items()}

    @rule(owner=owners, name=st.sampled_from(NAMES))
    def write(self, owner: str, name: str) -> None:
        """Under the token that it was told, however long ago: refused if the lease has had another owner since."""
        if name not in self.said[owner]:
            return
        fence, lease = Fence(name, self.said[owner][name]), self.held[name]
        try:
            self.database.write(fence.hold)
        except StaleLease:
            assert lease[:2] != (owner, fence.token)
        else:
            assert lease[:2] == (owner, fence.token)

    @invariant()
    def the_database_says_the_same(self) -> None:
        known = [Lease(name, owner, token, left > 0) for name, (owner, token, left) in sorted(self.held.items())]
        assert self.leases.all() == known

    def learn(self, owner: str, told: object, expected: dict[str, int]) -> None:
        assert told == expected
        self.said[owner].update(expected)
        for name, token in expected.items():
            before = self.tokens[name]
            if not before or before[-1] != (owner, token):
                assert all(token > older for _, older in before)
                before.append((owner, token))


def test_one_owner_at_a_time_and_tokens_that_grow(tmp_path: Path) -> None:
    LeaseMachine.database = CatalogDatabase(f"sqlite:///{tmp_path}/catalog.sqlite3")
    try:
        run_state_machine_as_test(LeaseMachine, settings=settings(max_examples=40, stateful_step_count=30))
    finally:
        LeaseMachine.database.close()

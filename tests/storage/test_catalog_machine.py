"""Any sequence of calls does to a catalog what it does to dicts, on each database and with any text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import create_engine, delete

from data_manager.storage import catalog_tables as tables
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import (
    Dataset,
    Expiring,
    Gap,
    GapStatus,
    Health,
    Incident,
    Job,
    JobReason,
    JobStatus,
    Lineage,
)
from tests.storage.catalogs import CATALOGS, empty_database
from tests.storage.examples import T0, FixedClock

LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)

keys = st.sampled_from(["a", "A", "ä", "Ä", "ss", "ß", "币安", "🙂", "it's", '"a"', "%", "_", "a/b", "\\", "b c"])
texts = st.text("aAbB%_/\\'\"\n\t ;:?-äÄß币🙂\u0301", max_size=8)
words = st.sampled_from(["a", "B", "%", "_", "/", "\\", "'", '"', "币", "🙂", "a%", "\n"])
times = st.integers(T0, T0 + 3)
counts = st.none() | st.integers(0, 2**31 - 1)
none_or_times = st.none() | times

incidents = st.builds(
    Incident,
    incident_id=keys,
    kind=keys,
    subject=texts,
    cause=texts,
    started_ms=times,
    ended_ms=none_or_times,
    detail=texts,
)
datasets = st.builds(
    Dataset,
    dataset_id=keys,
    name=texts,
    description=texts,
    category=keys,
    schema_id=texts,
    storage_type=keys,
    owner=keys,
    update_frequency=texts,
    created_ms=times,
    updated_ms=times,
)
lineages = st.builds(
    Lineage,
    lineage_id=keys,
    dataset_id=keys,
    source_dataset_id=st.none() | texts,
    transformation=texts,
    input_records=counts,
    output_records=counts,
    at_ms=times,
)
jobs = st.builds(
    Job,
    job_id=keys,
    symbol=keys,
    data_type=keys,
    timeframe=st.none() | keys,
    start_ms=times,
    end_ms=times,
    status=st.sampled_from(["pending", "running", "completed", "failed"]),
    created_ms=times,
    priority=st.integers(1, 10),
    progress=st.integers(0, 10_000).map(lambda n: n / 100),
    records_fetched=st.integers(0, 2**31 - 1),
    records_inserted=st.integers(0, 2**31 - 1),
    error_message=st.none() | texts,
    started_ms=none_or_times,
    completed_ms=none_or_times,
    reason=st.sampled_from(JobReason).map(str),
    checkpoint=st.none() | texts,
)
statuses = st.sampled_from(GapStatus)
gaps = st.builds(
    Gap,
    gap_id=keys,
    dataset_id=keys,
    symbol=keys,
    data_type=keys,
    timeframe=st.none() | keys,
    start_ms=times,
    end_ms=times,
    status=statuses.map(str),
    cause=st.none() | texts,
    evidence=st.none() | texts,
    first_seen_ms=times,
    last_seen_ms=times,
    job_id=st.none() | keys,
    closed_ms=none_or_times,
)
scores = st.none() | st.integers(0, 10_000).map(lambda n: n / 100)
metrics = st.builds(
    Health,
    metric_id=keys,
    dataset_id=st.sampled_from(["a", "A", "币安"]),
    symbol=keys,
    timeframe=st.none() | keys,
    completeness=scores,
    freshness_seconds=counts,
    gaps_count=counts,
    duplicates_count=counts,
    consistency_score=scores,
    quality_score=scores,
    at_ms=times,
)


class CatalogMachine(RuleBasedStateMachine):
    """The same calls on a catalog and on dicts by id."""

    def __init__(self, catalog: SqlCatalog, clear: Callable[[], None]) -> None:
        super().__init__()
        clear()
        self.catalog = catalog
        self.incidents: dict[str, Incident] = {}
        self.datasets: dict[str, Dataset] = {}
        self.lineage: dict[str, Lineage] = {}
        self.jobs: dict[str, Job] = {}
        self.gaps: dict[str, Gap] = {}
        self.health: dict[str, Health] = {}

    @rule(incident=incidents)
    def save_incident(self, incident: Incident) -> None:
        self.catalog.save_incident(incident)
        self.incidents[incident.incident_id] = incident

    @rule(saved=st.lists(datasets, max_size=4))
    def save_datasets(self, saved: list[Dataset]) -> None:
        new = {each.dataset_id for each in saved} - self.datasets.keys()
        assert self.catalog.save_datasets(saved) == len(new)
        for each in saved:
            there = self.datasets.get(each.dataset_id, each)
            self.datasets[each.dataset_id] = msgspec.structs.replace(each, created_ms=there.created_ms)

    @rule(saved=st.lists(lineages, max_size=4))
    def save_lineage(self, saved: list[Lineage]) -> None:
        self.catalog.save_lineage(saved)
        self.lineage.update((each.lineage_id, each) for each in saved)

    @rule(job=jobs)
    def save_job(self, job: Job) -> None:
        self.catalog.save_job(job)
        self.jobs[job.job_id] = job

    @rule(saved=st.lists(gaps, max_size=3))
    def save_gaps(self, saved: list[Gap]) -> None:
        self.catalog.save_gaps(saved)
        for each in saved:
            there = self.gaps.get(each.gap_id, each)
            self.gaps[each.gap_id] = msgspec.structs.replace(each, first_seen_ms=there.first_seen_ms)

    @rule(seen=st.lists(gaps, max_size=3))
    def see_gaps(self, seen: list[Gap]) -> None:
        self.catalog.see_gaps(seen)
        for each in seen:
            there = self.gaps.get(each.gap_id, each)
            kept = {name: getattr(there, name) for name in ("first_seen_ms", "status", "job_id", "closed_ms")}
            self.gaps[each.gap_id] = msgspec.structs.replace(each, **kept)

    @rule(
        gap_id=keys,
        to=statuses,
        only_from=st.lists(statuses, max_size=3),
        at_ms=times,
        job_id=st.none() | keys,
        evidence=st.none() | texts,
    )
    def move_gap(
        self,
        gap_id: str,
        to: GapStatus,
        only_from: list[GapStatus],
        at_ms: int,
        job_id: str | None,
        evidence: str | None,
    ) -> None:
        there = self.gaps.get(gap_id)
        moved = there is not None and there.status in only_from
        given = {"only_from": only_from, "at_ms": at_ms, "job_id": job_id, "evidence": evidence}
        assert self.catalog.move_gap(gap_id, to, **given) == moved  # type: ignore[arg-type]
        if moved and there is not None:
            self.gaps[gap_id] = msgspec.structs.replace(
                there,
                status=to.value,
                closed_ms=None if to in ("open", "backfilling") else at_ms,
                job_id=there.job_id if job_id is None else job_id,
                evidence=there.evidence if evidence is None else evidence,
            )

    @rule(saved=st.lists(metrics, max_size=4))
    def save_health(self, saved: list[Health]) -> None:
        self.catalog.save_health(saved)
        self.health.update((each.metric_id, each) for each in saved)

    @rule(symbol=st.none() | keys)
    def ask_for_health(self, symbol: str | None) -> None:
        ordered = sorted(self.health.values(), key=lambda each: (each.at_ms, each.metric_id))
        latest = {each.dataset_id: each for each in ordered if symbol in (None, each.symbol)}
        assert self.catalog.latest_health(symbol) == [latest[name] for name in sorted(latest)]

    @rule(
        statuses=st.lists(st.sampled_from(JobStatus), max_size=2),
        symbol=st.none() | keys,
        data_type=st.none() | keys,
        from_ms=none_or_times,
        to_ms=none_or_times,
        descending=st.booleans(),
    )
    def list_jobs(
        self,
        statuses: list[JobStatus],
        symbol: str | None,
        data_type: str | None,
        from_ms: int | None,
        to_ms: int | None,
        descending: bool,
    ) -> None:
        def matches(each: Job) -> bool:
            assert each.created_ms is not None
            in_time = (from_ms or 0) <= each.created_ms < (to_ms or each.created_ms + 1)
            asked = symbol in (None, each.symbol) and data_type in (None, each.data_type)
            return in_time and asked and (not statuses or each.status in statuses)

        def place(each: Job) -> tuple[int, str]:
            return each.created_ms or 0, each.job_id

        found = sorted(filter(matches, self.jobs.values()), key=place, reverse=descending)
        asked = {"statuses": statuses, "symbol": symbol, "data_type": data_type, "from_ms": from_ms, "to_ms": to_ms}
        page = self.catalog.jobs(**asked, limit=3, offset=1, descending=descending)  # type: ignore[arg-type]
        assert page == (found[1:4], len(found))

    @rule(before_ms=times)
    def expire_incidents(self, before_ms: int) -> None:
        old = [name for name, each in self.incidents.items() if each.ended_ms and each.ended_ms < before_ms]
        assert self.catalog.expire(Expiring.INCIDENTS, before_ms) == len(old)
        for name in old:
            del self.incidents[name]

    @rule(before_ms=times, limit=st.integers(1, 3))
    def expire_lineage(self, before_ms: int, limit: int) -> None:
        oldest = sorted((each.at_ms, name) for name, each in self.lineage.items() if each.at_ms < before_ms)[:limit]
        assert self.catalog.expire(Expiring.LINEAGE, before_ms, limit) == len(oldest)
        for _, name in oldest:
            del self.lineage[name]

    @rule(category=st.none() | keys, owner=st.none() | keys, search=st.none() | words, descending=st.booleans())
    def list_datasets(self, category: str | None, owner: str | None, search: str | None, descending: bool) -> None:
        def matches(each: Dataset) -> bool:
            said = [text.translate(LOWER) for text in (each.dataset_id, each.name, each.description)]
            found = search is None or any(search.translate(LOWER) in text for text in said)
            return found and category in (None, each.category) and owner in (None, each.owner)

        names = sorted((name for name, each in self.datasets.items() if matches(each)), reverse=descending)
        page, total = self.catalog.datasets(
            category=category, owner=owner, search=search, limit=3, offset=1, descending=descending
        )
        assert (page, total) == ([self.datasets[name] for name in names[1:4]], len(names))

    @rule(name=keys)
    def look_up(self, name: str) -> None:
        assert self.catalog.dataset(name) == self.datasets.get(name)
        assert self.catalog.job(name) == self.jobs.get(name)
        assert self.catalog.gap(name) == self.gaps.get(name)
        newest = sorted(
            (each for each in self.health.values() if each.dataset_id == name),
            key=lambda each: (-each.at_ms, each.metric_id),
        )
        assert self.catalog.health_history(name) == newest
        records = sorted(
            (each for each in self.lineage.values() if each.dataset_id == name),
            key=lambda each: (-each.at_ms, each.lineage_id),
        )
        assert self.catalog.lineage(name) == records

    @invariant()
    def lists_the_incidents(self) -> None:
        newest = sorted(self.incidents.values(), key=lambda each: (-each.started_ms, each.incident_id))
        assert self.catalog.incidents() == newest
        assert self.catalog.incidents(2, open_only=True) == [each for each in newest if each.ended_ms is None][:2]


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def clear(url: str) -> Iterator[Callable[[], None]]:
    engine = create_engine(url)

    def clear() -> None:
        with engine.begin() as connection:
            for table in tables.metadata.sorted_tables:
                connection.execute(delete(table))

    yield clear
    engine.dispose()


def test_a_catalog_does_what_dicts_do(url: str, clear: Callable[[], None]) -> None:
    catalog = SqlCatalog(url, clock=FixedClock())
    catalog.check()
    run_state_machine_as_test(
        partial(CatalogMachine, catalog, clear),
        settings=settings(
            derandomize=True,
            deadline=None,
            max_examples=25,
            stateful_step_count=20,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    catalog.close()

"""Which symbols are active: the list in the catalog, and the settings that it begins with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.storage import symbols
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Catalog, ListedSymbol
from data_manager.storage.symbols import active, add, retire, retired_but_configured, seeded, statuses
from data_manager.storage.symbols_file import statuses_in
from data_manager.system.errors import StoreError
from tests.storage.catalogs import CATALOGS, empty_database
from tests.storage.examples import FixedClock

NOW = 1_760_961_600_000
PAIRS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(params=CATALOGS)
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    opened = SqlCatalog(empty_database(request.param, tmp_path, request), clock=FixedClock(NOW))
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, SqlCatalog]]:
    opened = SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=FixedClock(NOW))
    yield tmp_path / "catalog.sqlite3", opened
    opened.close()


def row(symbol: str, status: str = "active", added_ms: int = NOW, retired_ms: int | None = None) -> ListedSymbol:
    return ListedSymbol(symbol, status, added_ms, retired_ms)


def test_a_catalog_that_lists_nothing_leaves_it_to_the_settings() -> None:
    assert active({}, PAIRS) == PAIRS


@given(
    st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from(["active", "retired"])),
    st.lists(st.sampled_from("ABCDEF"), unique=True),
)
def test_what_is_active_is_listed_or_configured_and_not_retired(listed: dict[str, str], configured: list[str]) -> None:
    names = active(listed, configured)
    retired = {name for name, status in listed.items() if status == "retired"}
    assert set(names) == {*listed, *configured} - retired
    assert len(names) == len(set(names))
    first = [name for name in configured if name not in retired]
    assert list(names[: len(first)]) == first
    assert set(retired_but_configured(listed, configured)) == retired & set(configured)


def test_the_configured_names_begin_the_list_and_later_ones_are_added_to_it(catalog: Catalog) -> None:
    assert seeded(catalog, PAIRS, NOW) == [row("BTCUSDT"), row("ETHUSDT")]
    later = seeded(catalog, ("ADAUSDT", "BTCUSDT"), NOW + 1000)
    assert later == catalog.symbols() == [row("BTCUSDT"), row("ETHUSDT"), row("ADAUSDT", added_ms=NOW + 1000)]
    assert active(statuses(later), ("ADAUSDT", "BTCUSDT")) == ("ADAUSDT", "BTCUSDT", "ETHUSDT")


def test_seeding_undoes_no_retirement_not_even_one_of_the_same_moment(catalog: Catalog) -> None:
    catalog.save_symbols([row("ETHUSDT", "retired", NOW, NOW + 5)])
    catalog.save_symbols([row("ETHUSDT", added_ms=NOW + 9), row("BTCUSDT")], only_new=True)
    assert statuses(seeded(catalog, PAIRS, NOW + 10)) == {"BTCUSDT": "active", "ETHUSDT": "retired"}
    assert {each.symbol: each.added_ms for each in catalog.symbols()}["ETHUSDT"] == NOW


def test_a_symbol_is_added_once_retired_once_and_can_come_back(catalog: Catalog) -> None:
    added = add(catalog, "XRPUSDT", PAIRS, NOW)
    assert added == (row("XRPUSDT"), True, (*PAIRS, "XRPUSDT"))
    assert add(catalog, "XRPUSDT", PAIRS, NOW + 1) == (row("XRPUSDT"), False, (*PAIRS, "XRPUSDT"))
    gone = retire(catalog, "XRPUSDT", PAIRS, NOW + 2)
    assert gone == (row("XRPUSDT", "retired", NOW, NOW + 2), True, PAIRS)
    assert retire(catalog, "XRPUSDT", PAIRS, NOW + 3) == (row("XRPUSDT", "retired", NOW, NOW + 2), False, PAIRS)
    back = add(catalog, "XRPUSDT", PAIRS, NOW + 4)
    assert back == (row("XRPUSDT", added_ms=NOW + 4), True, (*PAIRS, "XRPUSDT"))
    assert retire(catalog, "NOUSDT", PAIRS, NOW) is None


def test_one_that_is_configured_only_can_be_retired(catalog: Catalog) -> None:
    change = retire(catalog, "BTCUSDT", PAIRS, NOW)
    assert change is not None
    assert change.active == ("ETHUSDT",)
    assert active(statuses(catalog.symbols()), PAIRS) == ("ETHUSDT",)


def test_there_is_a_most_which_retired_ones_do_not_count_for(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols, "SYMBOLS_MAX", 2)
    assert add(catalog, "XRPUSDT", PAIRS, NOW) is None
    retire(catalog, "BTCUSDT", PAIRS, NOW)
    assert add(catalog, "XRPUSDT", PAIRS, NOW) is not None
    assert add(catalog, "XRPUSDT", PAIRS, NOW) is not None  # it is there


def test_main_reads_the_same_list_from_the_file(file: tuple[Path, SqlCatalog]) -> None:
    path, catalog = file
    assert statuses_in(path) == {}
    seeded(catalog, ("ETHUSDT",), NOW + 1)
    add(catalog, "BTCUSDT", (), NOW)
    retire(catalog, "ETHUSDT", (), NOW + 2)
    expected = {"BTCUSDT": "active", "ETHUSDT": "retired"}
    assert statuses_in(path) == statuses(catalog.symbols()) == expected
    assert list(statuses_in(path)) == list(expected)


def test_a_file_without_a_list_is_an_empty_list_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    file.touch()
    assert statuses_in(file) == {}
    file.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        statuses_in(file)

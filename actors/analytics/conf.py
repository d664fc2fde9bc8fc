"""Reads conf/analytics.yaml: windows by timeframe, and the parameters of every calculator."""

from __future__ import annotations

from importlib import resources

import msgspec

from data_manager.actors.analytics.anomalies import AnomalyParameters
from data_manager.actors.analytics.bars import span_ms
from data_manager.actors.analytics.correlation import CorrelationParameters
from data_manager.actors.analytics.deviation import DeviationParameters
from data_manager.actors.analytics.regime import RegimeParameters
from data_manager.actors.analytics.seasonality import SeasonalityParameters
from data_manager.actors.analytics.spread import SpreadParameters
from data_manager.actors.analytics.trend import TrendParameters
from data_manager.actors.analytics.volatility import VolatilityParameters
from data_manager.actors.analytics.volume import VolumeParameters
from data_manager.storage.records import TIMEFRAMES
from data_manager.system.errors import ConfigError
from data_manager.system.settings_sources import read_yaml

PACKAGED = "conf/analytics.yaml"


class Windows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each category looks back on in one timeframe, as labels that `Window.ending` takes."""

    volatility: str
    volume: str
    spread: str
    trend: str
    deviation: str
    seasonality: str
    correlation: str
    regime: str
    anomalies: str
    training: str  # of anomalies: ends where theirs begins
    inside: str  # a shorter timeframe

    def __post_init__(self) -> None:
        for label in self.labels():
            span_ms(label)
        if self.inside not in TIMEFRAMES:
            raise ValueError(f"inside names {self.inside}, which is no timeframe")

    def labels(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name != "inside")

    def longest_ms(self) -> int:
        """How far back the one read goes that all calculators share, without the warm-up."""
        together = span_ms(self.anomalies) + span_ms(self.training)
        return max(together, *map(span_ms, self.labels()))


class Judging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is judged in a timeframe, and the time before it that it is judged by."""

    anomalies: str
    training: str

    def __post_init__(self) -> None:
        self.longest_ms()

    def longest_ms(self) -> int:
        """How far back that goes, without the warm-up."""
        return span_ms(self.anomalies) + span_ms(self.training)


class AnalyticsConf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    timeframes: dict[str, Windows]
    on_demand: dict[str, Judging]  # where anomalies can be asked for and no cycle looks for them
    warm_up_bars: int
    benchmark: str
    volatility: VolatilityParameters
    volume: VolumeParameters
    spread: SpreadParameters
    trend: TrendParameters
    deviation: DeviationParameters
    seasonality: SeasonalityParameters
    correlation: CorrelationParameters
    regime: RegimeParameters
    anomalies: AnomalyParameters

    def __post_init__(self) -> None:
        for timeframe in (*self.timeframes, *self.on_demand):
            if timeframe not in TIMEFRAMES:
                raise ValueError(f"timeframes or on_demand names {timeframe}, which is no timeframe")
        for timeframe, windows in self.timeframes.items():
            if TIMEFRAMES[windows.inside] >= TIMEFRAMES[timeframe]:
                raise ValueError(f"inside of {timeframe} must be a shorter timeframe, not {windows.inside}")
        if self.warm_up_bars < 0:
            raise ValueError("warm_up_bars must not be below 0")

    def judging(self, timeframe: str) -> Windows | Judging:
        """In which time a timeframe's anomalies are looked for; KeyError for one that has none."""
        return self.timeframes.get(timeframe) or self.on_demand[timeframe]

    def history_ms(self, timeframe: str) -> int:
        """How much of a timeframe one read takes: its longest window and the warm-up."""
        return self.judging(timeframe).longest_ms() + self.warm_up_bars * TIMEFRAMES[timeframe]


def analytics_conf() -> AnalyticsConf:
    """The packaged file; raises ConfigError with what is wrong with it."""
    return parse(read_yaml(resources.files("data_manager") / PACKAGED))


def parse(content: dict[str, object]) -> AnalyticsConf:
    """The file's content, all scalars as text; raises ConfigError with what is wrong and where."""
    try:
        return msgspec.convert(content, AnalyticsConf, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{PACKAGED}: {error}; put the packaged file back") from error

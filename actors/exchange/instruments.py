"""What is traded: base price, volatility, turnover, tick and lot of a symbol, and exact decimal text.

Inside the simulation prices are integer ticks and quantities integer lots; text appears only on the wire.
"""

from __future__ import annotations

import math

import msgspec

from data_manager.actors.exchange.noise import DRAWS, Noise, Stream


class Instrument(msgspec.Struct, frozen=True):
    """One symbol. `tick` and `lot` count units of the last decimal that the text shows."""

    symbol: str
    base_price: float  # around which the price moves for ever
    sigma: float  # of one minute's log return, averaged over calm and wild times
    turnover: float  # quote volume of an average day
    price_scale: int  # decimals of a price; at most 8
    tick: int
    quantity_scale: int
    lot: int = 1

    @property
    def base_ticks(self) -> float:
        """The base price in ticks."""
        return self.base_price / self.tick * float(10**self.price_scale)

    @property
    def lots_per_minute(self) -> float:
        """Average volume of a minute."""
        return self.turnover / 1440 / self.base_price / self.lot * float(10**self.quantity_scale)

    @property
    def lot_ticks_scale(self) -> int:
        """Decimals of a price times a quantity."""
        return self.price_scale + self.quantity_scale

    def price(self, ticks: int) -> str:
        """The price as the exchange writes it."""
        return decimal_text(ticks * self.tick, self.price_scale)

    def quantity(self, lots: int) -> str:
        """The quantity as the exchange writes it."""
        return decimal_text(lots * self.lot, self.quantity_scale)

    def quote(self, lot_ticks: int) -> str:
        """A sum of price times quantity, exact, with every decimal it can have."""
        return decimal_text(lot_ticks * self.tick * self.lot, self.lot_ticks_scale)


def decimal_text(units: int, scale: int) -> str:
    """`units` times 10**-scale in plain decimal notation with exactly `scale` decimals."""
    if not scale:
        return str(units)
    whole, fraction = divmod(abs(units), 10**scale)
    return f"{'-' if units < 0 else ''}{whole}.{fraction:0{scale}d}"


_LISTED = {
    listed.symbol: listed
    for listed in (
        Instrument("BTCUSDT", 110_850.40, 0.0006, 15.6e9, 2, 10, 3),
        Instrument("ETHUSDT", 3_985.20, 0.0008, 13.1e9, 2, 1, 3),
        Instrument("BNBUSDT", 1_102.35, 0.0007, 1.4e9, 3, 10, 2),
        Instrument("ADAUSDT", 0.6512, 0.0009, 0.5e9, 5, 10, 0),
        Instrument("SOLUSDT", 189.32, 0.0009, 4.2e9, 4, 100, 2),
    )
}


def instrument(seed: int, symbol: str) -> Instrument:
    """The listed instrument, else one made up from the seed, at 0.05 to 500 in 10,000 to 100,000 ticks."""
    if symbol in _LISTED:
        return _LISTED[symbol]
    at, busy, lively = (draw / DRAWS for draw in Noise(seed, symbol).draws(Stream.INSTRUMENT, 0, 3))
    price = 0.05 * 10 ** (4 * at)
    magnitude = math.floor(math.log10(price))
    return Instrument(
        symbol,
        base_price=price,
        sigma=0.0007 + 0.0003 * lively,
        turnover=2e7 * 10**busy,
        price_scale=5 - magnitude,
        tick=10,
        quantity_scale=max(0, magnitude),
    )

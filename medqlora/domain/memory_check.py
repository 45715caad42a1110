"""MemoryCheck: the forecast that was recorded when training began, beside what was measured since.

Only like is compared with like: what torch reserves on a card with the same forecast. A process's
RAM holds Python and its libraries as well, so the two are told and no difference is taken. It
forecasts nothing and measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from medqlora.domain.events import MemoryExpected, MemorySampled

SOURCES = {"gpu": "the graphics card", "ram": "the machine's memory (RAM)"}
NOT_RECORDED = "No memory forecast is on record of this run."


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCheck:
    """Forecast and measured peak of one attempt.

    Attributes:
        source: What was forecast: `gpu` for what torch reserves on the card, `ram` for the memory
            of the process.
        forecast_gib: What was forecast; for RAM of the model's part alone.
        measured_gib: The largest that was sampled of the same since training began, 0 for nothing.
        other_gib: The largest that was sampled of the other, 0 for nothing.
    """

    source: str
    forecast_gib: float
    measured_gib: float = 0.0
    other_gib: float = 0.0

    @classmethod
    def begun(cls, event: MemoryExpected) -> MemoryCheck:
        """Nothing was measured yet."""
        return cls(source=event.source, forecast_gib=event.expected_gib)

    def with_sample(self, event: MemorySampled) -> MemoryCheck:
        """With one more sample."""
        if event.source != self.source:
            return replace(self, other_gib=max(self.other_gib, event.used_gib))
        value = event.reserved_gib if self.source == "gpu" else event.used_gib
        return replace(self, measured_gib=max(self.measured_gib, value))

    @property
    def message(self) -> str:
        """Both side by side, or why they are not, as a sentence for the user."""
        place = SOURCES[self.source]
        if not self.measured_gib:
            seen = (
                f" What was measured was {self.other_gib:.2f} GiB of "
                f"{SOURCES['ram' if self.source == 'gpu' else 'gpu']}, which cannot be compared "
                "with it."
                if self.other_gib
                else " Nothing was measured to compare it with."
            )
            return f"The forecast was {self.forecast_gib:.2f} GiB of {place}.{seen}"
        if self.source == "ram":
            return (
                f"Training took at most {self.measured_gib:.2f} GiB of {place}, Python and its "
                f"libraries included; {self.forecast_gib:.2f} GiB was the forecast at the start "
                "for the model alone, made for graphics cards, so the two are not compared."
            )
        difference = self.measured_gib / self.forecast_gib - 1
        return (
            f"Training took at most {self.measured_gib:.2f} GiB of {place} and the forecast at the "
            f"start was {self.forecast_gib:.2f} GiB: {abs(difference):.1%} "
            f"{'more' if difference > 0 else 'less'} than forecast."
        )

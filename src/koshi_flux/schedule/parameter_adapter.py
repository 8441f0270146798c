"""The name under which the spec knows schedules."""

from koshi_flux.schedule.curve import Schedule


class FluxKoshiParameterAdapter:
    """A thin face of `Schedule.parse(...).values(...)`, for code that was written against the spec."""

    def parse_schedule(self, schedule: str, num_frames: int) -> list[float]:
        """The value of a schedule text at each of `num_frames` frames, with seed 0, 24 fps and 120 bpm."""
        values: list[float] = Schedule.parse(schedule).values(num_frames).tolist()
        return values

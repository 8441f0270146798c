"""Everything koshi-flux raises on purpose.

KoshiError
├── ScheduleError    a schedule or a prompt cannot be read or evaluated
├── SettingsError    a film setting is unknown, out of range or contradicts another
├── ModelError       a model is unknown, incomplete or of the wrong kind
├── OutputError      a film or frame cannot be written
└── RunError         a run folder is occupied or cannot be resumed
"""

_QUOTED = 300
"""Characters up to which a text is quoted whole in a message."""


class KoshiError(Exception):
    """Base of all errors that a user can cause and mend. The message says what to write instead."""


class ScheduleError(KoshiError):
    """A schedule that cannot be read or evaluated.

    Args:
        problem: what is wrong and what was expected, without the place.
        text: the whole schedule text, if there is one.
        column: where it broke, 1-based, 1 <= column <= len(text) + 1; None when no single place is to blame.
        name: the parameter the schedule belongs to, e.g. "zoom".
    """

    def __init__(self, problem: str, *, text: str | None = None, column: int | None = None, name: str = "schedule"):
        self.problem, self.text, self.column, self.name = problem, text, column, name
        super().__init__(self._message())

    def _message(self) -> str:
        if self.text is None:
            return f"{self.name}: {self.problem}"
        quoted = repr(self.text) if len(self.text) <= _QUOTED else f"a text of {len(self.text):,} characters"
        if self.column is None:
            return f"{self.name}: {self.problem} in {quoted}"
        return f"{self.name}: {self.problem} at column {self.column} of {quoted}\n{self._caret()}"

    def _caret(self) -> str:
        """The neighbourhood of the fault with a caret below it; control characters shown as spaces."""
        assert self.text is not None
        assert self.column is not None
        start = max(0, self.column - 1 - 40)
        shown = "".join(c if c.isprintable() else " " for c in self.text[start : start + 80])
        return f"    {shown}\n    {' ' * (self.column - 1 - start)}^"


class SettingsError(KoshiError):
    """A film setting that is unknown, out of range or contradicts another."""


class ModelError(KoshiError):
    """A model that is unknown, incomplete on disk or of the wrong kind."""


class OutputError(KoshiError):
    """A film or frame that cannot be written."""


class RunError(KoshiError):
    """A run folder that is occupied or cannot be resumed."""

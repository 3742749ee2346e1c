"""The bar that tqdm draws in the last line of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO, cast

from tqdm import tqdm

if TYPE_CHECKING:
    _Tqdm = tqdm[Any]
else:
    _Tqdm = tqdm

FULL = 1000
"""The length of the whole bar, as tqdm counts it."""


class _CursorAtBeginning:
    """Moves the cursor to the beginning of the line after each picture of tqdm, in the same write. So the ``^C`` of the
    terminal overwrites the bar instead of starting a new line, and is removed with it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write one picture of the bar."""
        return self._file.write(f"{text}\r" if text else "")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Bar(_Tqdm):
    """A bar between two texts; without the bar, if ``share`` is None. Creating it draws it."""

    monitor_interval = 0  # tqdm needs no monitor thread: the caller decides when to draw

    def __init__(self, file: TextIO, columns: int, left: str, right: str, share: float | None) -> None:
        self._left, self._right = left, right
        total, done = self._numbers(share)
        file = cast(TextIO, _CursorAtBeginning(file))
        super().__init__(total=total, initial=done, file=file, ncols=columns, bar_format=self._form(share), leave=False)

    def draw(self, columns: int, left: str, right: str, share: float | None) -> None:
        """Draw it again."""
        self._left, self._right, self.ncols = left, right, columns
        self.total, self.n = self._numbers(share)
        self.bar_format = self._form(share)
        self.refresh()

    @property
    def format_dict(self) -> Any:
        """The values for tqdm's format string."""
        return {**super().format_dict, "left": self._left, "right": self._right}

    @staticmethod
    def _form(share: float | None) -> str:
        return "{left}{right}" if share is None else "{left}{bar}{right}"

    @staticmethod
    def _numbers(share: float | None) -> tuple[int, int]:
        return FULL, int((share or 0) * FULL)


def dots_for(file: TextIO) -> str:
    """The ellipsis, in characters that this file can encode."""
    return "…" if "utf" in (getattr(file, "encoding", None) or "").lower() else "..."

"""What became of the items of a folder or prefix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3bulk import _core


@dataclass(frozen=True)
class Report:
    """What was done, what failed and what was not begun; a failed bulk call carries it as `error.report`.

    Attributes:
        done: Keys (upload) or relative paths (download), in the order of the folder or the listing.
        failed: The same names with the reason of each.
        not_begun: Names that were known when the first error stopped the call.
        bytes: Bytes of the files that were done.
    """

    done: list[str] = field(default_factory=list)
    failed: list[tuple[str, BaseException]] = field(default_factory=list)
    not_begun: list[str] = field(default_factory=list)
    bytes: int = 0

    @classmethod
    def of(cls, native: _core.Report) -> Report:
        """Takes over the engine's report."""
        return cls(list(native.done), list(native.failed), list(native.not_begun), native.bytes)

    def summary(self) -> str:
        """The counts in one line."""
        return f"{len(self.done)} done, {len(self.failed)} failed, {len(self.not_begun)} not begun"

"""Says whether results are true, from nothing but them and what the server has stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """One picture as the server stored it, with the id it came with ("" for none)."""

    upload_id: str
    body: bytes = field(repr=False)


class Outcome(Protocol):
    """What the judge looks at of an UploadResult."""

    @property
    def ok(self) -> bool:
        """Delivered."""

    @property
    def upload_id(self) -> str:
        """The id that all tries carried."""

    @property
    def ambiguous(self) -> bool:
        """Not delivered as far as the sender knows, but perhaps there."""

    @property
    def may_be_stored_twice(self) -> bool:
        """Delivered, and perhaps once more than that."""


def violations(stored: Sequence[Stored], sent: Sequence[tuple[bytes, Outcome]], *, honours_ids: bool) -> list[str]:
    """Return what is not as it has to be, in words; `sent`: each picture with its result."""
    found = []
    for content, outcome in sent:
        under_id = [item for item in stored if item.upload_id == outcome.upload_id]
        copies = [item for item in stored if item.body == content]
        if any(item.body != content for item in under_id):
            found.append("stored, but not as it was sent")
        if outcome.ok and not any(item.body == content for item in under_id):
            found.append("reported delivered, but not stored")
        if not outcome.ok and (under_id or copies) and not outcome.ambiguous:
            found.append("lost silently: stored, but reported as neither delivered nor ambiguous")
        if honours_ids and len(copies) > 1:
            found.append(f"stored {len(copies)} times at a server that honours the id")
        if outcome.ok and len(copies) > 1 and not outcome.may_be_stored_twice:
            found.append(f"stored {len(copies)} times, but the result does not say that it may be")
    known = {outcome.upload_id for _, outcome in sent}
    if any(item.upload_id not in known for item in stored):
        found.append("stored under an id that no result has")
    return found

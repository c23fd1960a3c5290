"""Which presses the hub has been told of and which it has stored: every press once, none forgotten. Pure.

A press reaches us on two paths, as a frame that the unit repeats and as a count in each heartbeat; both name it by
(boot_id, input, count). A frame is acknowledged only when every press that it stands for has been stored by the hub.
"""

from collections import OrderedDict
from collections.abc import Iterable

from firmware_bridge.events import PressId
from firmware_bridge.protocol import AckStatus, Heartbeat, HostAck, Input, PressReport

COUNTS = 1 << 16
TOLD_MAX = 512
"""Presses told and not yet stored; beyond it the unit keeps them and repeats."""
STORED_MAX = 1024
COUNTED_FOR_MS = 400
"""Longer than the slowest repetition of a frame, shorter than the time between two heartbeats."""
FRAMES_MAX = 32


class PressBook:
    """Presses told, presses stored, and the frames that wait for their acknowledgement."""

    def __init__(self, stored: Iterable[PressId] = ()) -> None:
        self._stored: OrderedDict[PressId, None] = OrderedDict.fromkeys(stored)
        self._told: dict[PressId, None] = {}
        self._frames: OrderedDict[tuple[int, int], tuple[PressId, ...]] = OrderedDict()
        self._counted_ms: dict[PressId, int] = {}

    def report(self, report: PressReport, seq: int) -> list[PressId]:
        """Take a frame; return the presses in it that the hub has to be told, oldest first."""
        ids = _ids(report.origin, report.input, report.count, report.merged + 1)
        self._frames[report.boot_id, seq] = ids
        while len(self._frames) > FRAMES_MAX:
            self._frames.popitem(last=False)
        return self._tell(ids)

    def heartbeat(self, beat: Heartbeat) -> list[PressId]:
        """Take the second path; return presses that no frame has told of.

        A press is told from a count only after COUNTED_FOR_MS: by then its frame, which also says how long ago the
        press was, has been repeated.
        """
        counted = _counted(beat, Input.OPEN, beat.presses, beat.kept_presses)
        counted += _counted(beat, Input.COVERT, beat.covert_presses, beat.covert_kept_presses)
        self._counted_ms = {press_id: self._counted_ms.get(press_id, beat.uptime_ms) for press_id in counted}
        return self._tell(
            tuple(id_ for id_, since_ms in self._counted_ms.items() if beat.uptime_ms - since_ms >= COUNTED_FOR_MS)
        )

    def store(self, press_id: PressId) -> None:
        """Note that the hub has this press durably."""
        self._told.pop(press_id, None)
        self._stored[press_id] = None
        while len(self._stored) > STORED_MAX:
            self._stored.popitem(last=False)

    def take_acks(self) -> list[HostAck]:
        """Return the acknowledgements that may go out now; a repeated frame gets another one."""
        ready = [frame for frame, ids in self._frames.items() if all(press_id in self._stored for press_id in ids)]
        for frame in ready:
            del self._frames[frame]
        return [HostAck(seq, AckStatus.DONE, boot_id) for boot_id, seq in ready]

    def _tell(self, ids: tuple[PressId, ...]) -> list[PressId]:
        new = [press_id for press_id in ids if press_id not in self._told and press_id not in self._stored]
        if len(self._told) + len(new) > TOLD_MAX:
            return []
        self._told.update(dict.fromkeys(new))
        return new


def _counted(beat: Heartbeat, input_: Input, presses: int, kept: int) -> tuple[PressId, ...]:
    return _ids(beat.boot_id, input_, presses, min(kept, presses))


def _ids(boot_id: int, input_: int, last: int, how_many: int) -> tuple[PressId, ...]:
    return tuple(PressId(boot_id, input_, (last - back) % COUNTS) for back in reversed(range(how_many)))

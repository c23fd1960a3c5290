"""Everything that is wrong with the unit now, each said once when it begins and once when it ends."""

import logging
from collections.abc import Callable

from kiosk.messages import Fault

log = logging.getLogger("stayby")


class FaultBook:
    """The open faults by code; `on_change` is called after each change, with what it was about and whether it is open now."""

    def __init__(self, on_change: Callable[[Fault, bool], None]) -> None:
        self._open: dict[str, Fault] = {}
        self._on_change = on_change

    @property
    def open(self) -> tuple[Fault, ...]:
        """The open faults, in order of their codes."""
        return tuple(self._open[code] for code in sorted(self._open))

    def set(self, fault: Fault) -> None:
        """Note `fault`; say so unless it was already said in the same words."""
        if self._open.get(fault.code) == fault:
            return
        self._open[fault.code] = fault
        log.warning("fault %s: %s: %s; %s", fault.code, fault.where, fault.says, fault.do)
        self._on_change(fault, True)

    def clear(self, code: str) -> None:
        """Note that the fault is over, if it was open."""
        fault = self._open.pop(code, None)
        if fault is not None:
            log.info("fault %s is over", code)
            self._on_change(fault, False)

    def replace(self, prefix: str, faults: tuple[Fault, ...]) -> None:
        """Make `faults` the only open ones whose code begins with `prefix`; one that lacks the prefix gets it."""
        faults = tuple(
            fault if fault.code.startswith(prefix) else fault.model_copy(update={"code": f"{prefix}{fault.code}"[:32]})
            for fault in faults
        )
        wanted = {fault.code for fault in faults}
        for code in [code for code in self._open if code.startswith(prefix) and code not in wanted]:
            self.clear(code)
        for fault in faults:
            self.set(fault)

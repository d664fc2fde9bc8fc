"""What Thespian 4.0.1 needs before it may run in production. Linux only.

As released, every Thespian process listens on all interfaces and unpickles what arrives; killing main or the admin
leaves the rest running; a segfault spins for ever under a Python handler. Each patch asserts the name it replaces,
and the version is pinned, so an upgrade fails loudly instead of dropping a protection.

Call order in main: `apply(key)`, `become_subreaper()`, then the ActorSystem. Each actor: `die_with_parent()`,
`default_fault_signals()`.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import os
import pickle  # nosec B403
import resource
import signal
import time
from importlib.metadata import version
from typing import Any

THESPIAN = "4.0.1"
MAC_BYTES = 16
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ADMIN_REPARENT_S = 1.0  # how long the admin's intermediate parent may live

os.environ.setdefault("THESPIAN_BASE_IPADDR", "127.0.0.1")
# Of one process, to all others together: at its own 20, what waits for one actor that hangs holds up the messages to
# all the others, and a supervisor that answers nobody any more ends everything. Read when Thespian is first imported.
os.environ.setdefault("THESPIAN_MAX_PENDING_TRANSMITS", "400")
_libc = ctypes.CDLL(None, use_errno=True)


class AuthenticatedPickle:
    """Thespian's serializer with an HMAC-SHA256 (16 bytes) in front of each pickle.

    A packet without a valid MAC raises ValueError before anything is unpickled; Thespian drops it. The two fixed
    acknowledgement packets are compared as bytes and never unpickled at all.
    """

    def __init__(self, key: bytes) -> None:
        from thespian.system.transport import streamBuffer

        self._key = key
        acks = (streamBuffer.ackPacket, streamBuffer.ackDataErrPacket)
        self._plain: dict[bytes, object] = {pickle.dumps(ack): ack for ack in acks}

    def dumps(self, message: object) -> bytes:
        """MAC and pickle."""
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        return self._mac(body) + body

    def loads(self, packet: bytes) -> object:
        """The message; ValueError when it was not made with this run's key."""
        packet = bytes(packet)
        if packet in self._plain:
            return self._plain[packet]
        mac, body = packet[:MAC_BYTES], packet[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise ValueError("packet without a valid MAC")
        return pickle.loads(body)  # noqa: S301  # nosec B301

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:MAC_BYTES]


def apply(key: bytes) -> None:
    """Bind to loopback only, authenticate every packet, chain admin and logger to main's life."""
    from thespian.system import logdirector, multiprocCommon
    from thespian.system.transport import IPBase, TCPTransport

    found = version("thespian")
    if found != THESPIAN:
        raise RuntimeError(f"thespian {found} is installed, the hardening is proven on {THESPIAN} only")
    for owner, name in (
        (IPBase.IPActorAddress, "bindArgs"),
        (TCPTransport, "serializer"),
        (multiprocCommon, "setProcName"),
        (logdirector, "setProcName"),
    ):
        if not hasattr(owner, name):
            raise RuntimeError(f"thespian has no {owner}.{name}")
    IPBase.IPActorAddress.bindArgs = property(lambda self: (("127.0.0.1", self.bindname[1]),))
    TCPTransport.serializer = AuthenticatedPickle(key)
    _chain_processes(multiprocCommon, logdirector, os.getpid())


def _chain_processes(common: Any, logdirector: Any, main_pid: int) -> None:
    """setProcName runs early in the admin and in the logger: the one hook both offer."""
    name_process, name_logger = common.setProcName, logdirector.setProcName

    def admin_hook(name: str, address: object) -> None:
        name_process(name, address)
        if name == "MultiProcAdmin":
            # the admin is forked twice: its life hangs on main only once the intermediate parent is gone
            give_up = time.monotonic() + ADMIN_REPARENT_S  # noqa: TID251  (before any clock exists)
            while os.getppid() != main_pid and time.monotonic() < give_up:  # noqa: TID251
                time.sleep(0.002)
            die_with_parent()

    def logger_hook(name: str, address: object) -> None:
        name_logger(name, address)
        die_with_parent()

    common.setProcName, logdirector.setProcName = admin_hook, logger_hook


def become_subreaper() -> None:
    """Orphaned descendants become children of this process, which reaps them."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """SIGKILL this process when the thread that created it ends. Not inherited: every process calls it."""
    parent = os.getppid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def default_fault_signals() -> None:
    """Let a segfault kill the process: under Thespian's Python handlers the faulting instruction runs for ever.

    A write beyond the limit on a file's size fails with EFBIG again, as Python has it: Thespian's handler of that
    signal writes to its own log, which raises the signal again, and the process hangs.
    """
    for fault in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT):
        signal.signal(fault, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def limit_memory(megabytes: int) -> None:
    """Cap this process's private writable memory, so that a leak ends this process and no other."""
    limit = megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def last_child_process(actor: Any) -> Any:
    """The multiprocessing.Process of the actor that `actor` created last; its exitcode tells how it died.

    ChildActorExited carries neither; this is where Thespian keeps it.
    """
    return actor._myRef._child_procs[-1].childProc


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")

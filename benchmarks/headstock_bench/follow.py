"""``python -m headstock_bench.follow PID …`` is ``headstock …`` that ends with its parent.

A Ray worker that is killed cannot stop the run that it started. The run would continue, and the next attempt would find
its directory in use.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From ``linux/prctl.h``. Other systems have no such thing; there Ray ends what its workers started, where it can."""


def main() -> None:
    """Take the parent's process number off the arguments, and run the ``headstock`` command."""
    program, parent, *arguments = sys.argv
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):  # it died before the request above
            sys.exit("the process that started this one is gone")
    # Ray's processes block Ctrl-C, and their children inherit that; a run saves its state on it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [program, *arguments]
    runpy.run_module("headstock", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

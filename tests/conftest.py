"""What runs behind `&` in a shell ignores Ctrl-C, and so does all that it starts: the tests need it heard."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

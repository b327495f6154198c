"""What a driver shares with the test harness: running checks, reporting them as lines of JSON, asking for a broker's restart."""

import json
import sys
import time
import traceback
import uuid


def report(**said):
    print(json.dumps(said), flush=True)


def restart_broker(how):
    """Has the broker ended by "kill" (SIGKILL) or "terminate" (SIGTERM) and started again; returns when it is back."""
    report(control=how)
    line = sys.stdin.readline()
    assert line.strip() == "restarted", line


def passed(name):
    report(check=name, ok=True)


def failed(name):
    report(check=name, ok=False, detail=traceback.format_exc())


def run(checks, *args):
    """Runs functions that are named as their checks. Names on the command line choose some of them."""
    for check in checks:
        if sys.argv[2:] and check.__name__ not in sys.argv[2:]:
            continue
        began = time.monotonic()
        try:
            check(*args)
            passed(check.__name__)
        except Exception:
            failed(check.__name__)
        print(f"{check.__name__}: {time.monotonic() - began:.1f} s", file=sys.stderr)


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex}"


def equal(actual, expected, what=""):
    assert actual == expected, f"{what}: {actual!r}, expected {expected!r}"


def until(condition, what, seconds=60):
    """Calls condition, which itself waits a little for news, until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"

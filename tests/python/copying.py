"""What programs have in common that copy a topic exactly once until they are killed: PROGRAM BOOTSTRAP JSON

They print what they do, a word a line, and read a line before the next transaction: see tests/tests/copies_crash.rs. Whatever goes
wrong ends them; a successor goes on.
"""

import json
import os
import sys

BOOTSTRAP = sys.argv[1]
PLAN = json.loads(sys.argv[2])


def say(word):
    os.write(1, (word + "\n").encode())


def may_go_on():
    """Waits for the word to begin the next transaction; false when there is none to come."""
    return bool(sys.stdin.readline())


def end_by(error):
    print(f"{PLAN['transactional_id']}: {error!r}", file=sys.stderr, flush=True)
    os._exit(3)

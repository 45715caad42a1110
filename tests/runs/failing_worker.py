"""A worker of two: the second fails and leaves word, the first waits for what never comes."""

import os
import sys
import time

from medqlora.domain.events import RunFailed
from medqlora.runs.launcher import die_with_launcher, leave_word

die_with_launcher()
if os.environ["RANK"] == "1":
    leave_word(RunFailed(code="out_of_memory", message="The second had no memory left.", hint="."))
    sys.exit(1)
time.sleep(600)

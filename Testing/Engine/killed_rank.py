"""The command line, where the second rank is killed in the second step of its first start."""

from __future__ import annotations

import os
import signal
import sys

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.training.step import TrainingStep

train_step = TrainingStep.train
steps = 0


def train_and_die(self, images, labels):
    global steps
    steps += 1
    if steps == 2 and os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0" and os.environ.get("RANK") == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self, images, labels)


# A rank imports this file again, under another name.
TrainingStep.train = train_and_die

if __name__ == "__main__":
    sys.exit(main())

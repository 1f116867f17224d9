"""The command line, where every epoch has a checkpoint and the second rank is killed in the second epoch, once."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.training import RECIPES
from SegAutoPlanLib.training.step import TrainingStep

train_step = TrainingStep.train
steps = 0


def train_and_die(self, images, labels):
    global steps
    steps += 1
    # Two are an epoch, and after it is begun again there are no more than two.
    if steps == 3 and os.environ.get("RANK") == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return train_step(self, images, labels)


# A rank imports this file again, under another name.
TrainingStep.train = train_and_die
RECIPES["short"] = replace(RECIPES["short"], checkpoint_every=1)

if __name__ == "__main__":
    sys.exit(main())

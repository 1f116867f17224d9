"""One process per GPU: how the processes of a training join, agree and leave. A lone process needs none of it.

Leaving has an order. gloo's threads hand the tensors of a collective back to Python, for which they need the
interpreter's lock; one that still does so while the interpreter is being taken down ends the whole process with
`terminate called without an active exception`. So no thread of the group may outlive `joined`: nothing that refers to
the group is left when it is destroyed, and only then does destroying wait for its threads.
"""

from __future__ import annotations

import contextlib
import gc
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch

# Before any group exists: its functions have "the group at the time of importing" as a default argument, and torch
# imports it with the first wrapped network, after which a group could never be freed.
import torch.distributed.nn
from torch import Tensor, distributed

from ..errors import StopRequested, UserInputError
from ..rank import Rank

LONGEST_WAIT = timedelta(days=1)
"""The others wait while the main process preprocesses a whole dataset."""


@dataclass(frozen=True)
class Ranks(Rank):
    """This process among those of the training, and what they do together."""

    is_continued: bool = False
    """Whether this training has been started before by the same launcher and left a checkpoint to go on from."""

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes (not differentiable)."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def any_rank(self, mine: bool) -> bool:
        """Whether any process says yes; all get the same answer, so none waits for another for ever."""
        return bool(self.sum(torch.tensor([float(mine)])).item())

    def of_main(self, mine: float) -> float:
        """The main process's number, in all of them."""
        return self.sum(torch.tensor([mine if self.is_main else 0.0], dtype=torch.float64)).item()

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """A block that each process does by itself, and after which all go on together or none does.

        Raises:
            UserInputError: in the process that it happened to, and in the main one, which may be the one that is heard.
            StopRequested: in all, after one was asked to stop; in the others, after another one's error.
        """
        mine: UserInputError | StopRequested | None = None
        try:
            yield
        except (UserInputError, StopRequested) as error:
            mine = error
        if self.world == 1:
            theirs = [mine]
        else:
            theirs = [None] * self.world
            distributed.all_gather_object(theirs, mine)
        if mine is not None:
            raise mine
        refusals = [error for error in theirs if isinstance(error, UserInputError)]
        if refusals and self.is_main:
            raise refusals[0]
        if stops := [error for error in theirs if error is not None]:
            raise StopRequested(str(stops[0]))

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """A block that the main process runs alone, and the others after it: they find its files.

        Raises:
            StopRequested: in the others, where the main process did not get through; it says why.
        """
        if not self.is_main:
            if self.any_rank(False):
                raise StopRequested("The main process ended before the training began.")
            yield
            return
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            self.any_rank(not succeeded)


ALONE = Ranks()


@contextlib.contextmanager
def joined(rank: Rank, device: torch.device, store: distributed.Store | None = None) -> Iterator[Ranks]:
    """Within the block this process belongs to the group of all.

    Those who come to its end leave together. After an error of one of them the others' collectives fail.

    Args:
        rank: which process this is.
        device: where the network is; its tensors go through NCCL on a GPU.
        store: where the processes meet (default: where torchrun's environment says).
    """
    ranks = Ranks(rank.rank, rank.world, rank.local_rank)
    if ranks.world == 1:
        yield ranks
        return
    # What is on the CPU goes through gloo in any case: waiting there leaves the GPUs idle, and the end of another
    # process is noticed at once.
    nccl = device.type == "cuda" and distributed.is_nccl_available()
    if device.type == "cuda":
        torch.cuda.set_device(ranks.local_rank)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if nccl else "gloo",
        timeout=LONGEST_WAIT,
        store=store,
        **({} if store is None else {"rank": ranks.rank, "world_size": ranks.world}),
    )
    try:
        yield ranks
        ranks.any_rank(False)
    except BaseException as error:
        # The frames that the error came through hold the wrapped network, and it the group.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        # The wrapped network sits in a reference cycle.
        gc.collect()
        distributed.destroy_process_group()


class OverRanks:
    """Sums and gathers over the processes that carry gradients, as a loss needs them (`losses/over_ranks.py`).

    Every process must call them in the same order. Without a gradient they do no more than forward.
    """

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        return _Sum.apply(values)

    def gather(self, values: Tensor) -> Tensor:
        """All processes' values, in the order of their ranks, along axis 0, where their lengths may differ."""
        return _Gather.apply(values)


class _Sum(torch.autograd.Function):
    """A differentiable all-reduce: the gradient of a sum that every process shares is the sum of their gradients."""

    @staticmethod
    def forward(_context, values: Tensor) -> Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(_context, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient


class _Gather(torch.autograd.Function):
    """A differentiable all-gather: the gradient is summed over the processes, and each takes the part of its values."""

    @staticmethod
    def forward(context, values: Tensor) -> Tensor:
        lengths = torch.zeros(distributed.get_world_size(), dtype=torch.int64, device=values.device)
        lengths[distributed.get_rank()] = len(values)
        distributed.all_reduce(lengths)
        lengths = lengths.tolist()
        context.first, context.length = sum(lengths[: distributed.get_rank()]), len(values)
        # Collectives take equal shapes, and not every backend takes bool.
        sent = values.to(torch.uint8) if values.dtype == torch.bool else values
        padded = sent.new_zeros((max(lengths), *sent.shape[1:]))
        padded[: len(sent)] = sent
        received = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(received, padded)
        parts = [part[:length] for part, length in zip(received, lengths, strict=True)]
        return torch.cat(parts).to(values.dtype)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient.narrow(0, context.first, context.length)

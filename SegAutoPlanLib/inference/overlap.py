"""Reading the next case, the network on this one, and writing of the last one, at the same time."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from ..errors import StopRequested, UserInputError, sentence_of
from ..progress import SILENT, Reporter

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Computed = TypeVar("Computed")
Result = TypeVar("Result")

SECONDS_BETWEEN_LOOKS = 0.1
STOPPED = "Segmenting was stopped; finished cases stay."


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Prepared],
    compute: Callable[[Prepared, Reporter], Computed],
    write: Callable[[Item, Computed], Result],
    name_of: Callable[[Item], str],
    reporter: Reporter = SILENT,
    has_room: Callable[[Prepared], bool] = lambda _: True,
) -> Iterator[Result]:
    """Yield what `write` returns of each item, in their order.

    `read` and `write` have a thread each, `compute` runs in the caller's, which is also where `items` is iterated.
    So that memory is bounded, one case is read ahead, and one waits at most until that before it is written.

    When the loop ends early, what is being written is finished, and what waits is dropped.

    Args:
        name_of: how an item is called in a sentence about it.
        has_room: whether the memory holds what is computed beside what is being written; else that is waited for.

    Raises:
        StopRequested: a stop was asked for, between two tiles or while one step waits for another.
        UserInputError: of an item's steps, with its name; one of `write` ends the network's work on the next case.
    """
    source = iter(items)
    reading = ThreadPoolExecutor(1, thread_name_prefix="read")
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="write") as writing:
            written: Future[Result] | None = None
            ahead = _begin(reading, source, read, name_of)
            while ahead is not None:
                item, future = ahead
                prepared = _answer(future, reporter, written)
                del future
                ahead = _begin(reading, source, read, name_of)
                if written is not None and not has_room(prepared):
                    yield _answer(written, reporter)
                    written = None
                computed = _computed(compute, prepared, name_of(item), reporter, written)
                del prepared
                if written is not None:
                    yield _answer(written, reporter)
                written = writing.submit(_named, name_of(item), write, item, computed)
                del computed
            if written is not None:
                yield _answer(written, reporter)
    finally:
        # What is read has no trace but its memory: nobody waits for it.
        reading.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def about(name: str) -> Iterator[None]:
    """A block whose refusals name what it is about.

    Raises:
        UserInputError: of the block, or instead of what the system refused, with the name.
    """
    try:
        yield
    except UserInputError as error:
        if _names(str(error), name):
            raise
        raise UserInputError(f"{name}: {error}") from error
    except (OSError, MemoryError, RuntimeError) as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise UserInputError(sentence if _names(sentence, name) else f"{name}: {sentence}") from error


def _names(sentence: str, name: str) -> bool:
    """Whether it begins with the name, or tells a file of that name."""
    return re.search(rf"(?:^|[/\\]){re.escape(name)}(?:[_.:]|$)", sentence) is not None


def _named(name: str, function: Callable[..., Result], *arguments: Any) -> Result:
    with about(name):
        return function(*arguments)


def _begin(
    reading: ThreadPoolExecutor,
    source: Iterator[Item],
    read: Callable[[Item], Prepared],
    name_of: Callable[[Item], str],
) -> tuple[Item, Future[Prepared]] | None:
    for item in source:
        return item, reading.submit(_named, name_of(item), read, item)
    return None


def _computed(
    compute: Callable[[Prepared, Reporter], Computed],
    prepared: Prepared,
    name: str,
    reporter: Reporter,
    written: Future | None,
) -> Computed:
    try:
        with about(name):
            return compute(prepared, _UntilWritingFails(reporter, written))
    except StopRequested:
        _raise_failure(written)
        raise


def _answer(future: Future[Result], reporter: Reporter, written: Future | None = None) -> Result:
    """The result, unless a stop is asked for, or writing fails, before it is there."""
    while not wait([future], SECONDS_BETWEEN_LOOKS).done:
        _raise_failure(written)
        if reporter.stop_requested():
            raise StopRequested(STOPPED)
    return future.result()


def _has_failed(future: Future | None) -> bool:
    return future is not None and future.done() and future.exception() is not None


def _raise_failure(future: Future | None) -> None:
    if future is not None and _has_failed(future):
        future.result()


class _UntilWritingFails(Reporter):
    """Says what another one says, and asks for a stop too once a file could not be written."""

    def __init__(self, whole: Reporter, written: Future | None) -> None:
        self.event = whole.event
        self._whole, self._written = whole, written

    def stop_requested(self) -> bool:
        return _has_failed(self._written) or self._whole.stop_requested()

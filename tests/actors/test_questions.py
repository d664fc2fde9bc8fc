"""Questions that messages answer: bounded in number and in time."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from data_manager.actors.questions import Questions
from data_manager.system.errors import FeedError


def questions(most: int = 2, patience_s: float = 5) -> Questions[str]:
    return Questions(Random(1), most=most, patience_s=patience_s, refusal="two are under way")


def test_each_question_gets_its_own_answer_in_any_order() -> None:
    async def run() -> None:
        asked, sent = questions(), list[str]()
        first, second = (asyncio.create_task(asked.ask(sent.append)) for _ in range(2))
        await asyncio.sleep(0)
        assert len(set(sent)) == 2
        asked.answered(sent[1], "second")
        asked.answered(sent[1], "again")
        asked.answered("of nobody", "lost")
        asked.answered(sent[0], "first")
        assert (await first, await second) == ("first", "second")

    asyncio.run(run())


def test_beyond_the_most_it_is_refused_until_one_is_answered() -> None:
    async def run() -> None:
        asked, sent = questions(most=1), list[str]()
        waiting = asyncio.create_task(asked.ask(sent.append))
        await asyncio.sleep(0)
        with pytest.raises(FeedError, match="two are under way"):
            await asked.ask(sent.append)
        assert len(sent) == 1
        asked.answered(sent[0], "done")
        await waiting
        again = asyncio.create_task(asked.ask(sent.append))
        await asyncio.sleep(0)
        asked.answered(sent[1], "too")
        assert await again == "too"

    asyncio.run(run())


def test_without_an_answer_it_ends_and_makes_room() -> None:
    async def run() -> None:
        asked, sent = questions(most=1, patience_s=0.01), list[str]()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asked.ask(sent.append)
        asked.answered(sent[0], "too late")
        assert len(sent) == 2

    asyncio.run(run())


def test_one_that_is_given_up_or_cannot_be_sent_makes_room() -> None:
    async def run() -> None:
        asked, sent = questions(most=1), list[str]()
        given_up = asyncio.create_task(asked.ask(sent.append))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up

        def fails(_: str) -> None:
            raise OSError("no mailbox")

        with pytest.raises(OSError, match="no mailbox"):
            await asked.ask(fails)
        kept = asyncio.create_task(asked.ask(sent.append))
        await asyncio.sleep(0)
        asked.answered(sent[-1], "here")
        assert await kept == "here"

    asyncio.run(run())

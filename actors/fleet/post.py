"""What goes to actors of other replicas and comes from there: commands with an answer, and hints without."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection

import msgspec

from data_manager.actors.fleet.letters import opened, sealed
from data_manager.actors.fleet.shared import Shared
from data_manager.actors.questions import Questions
from data_manager.http.store_thread import StoreThread
from data_manager.storage.commands import Order, Outcome
from data_manager.system.errors import FeedError, StoreError
from data_manager.system.fleet_messages import AskHolder, Brought, Elsewhere, HolderAnswered
from data_manager.system.logs import log
from data_manager.system.messages import Command, CommandDone
from data_manager.system.worker import Context

POLL_S = 0.5  # a command waits no longer for who can carry it out
ANSWER_POLL_S = 0.2
ANSWER_S = 2.0  # how long the asker's answer waits for the outcome
COMMAND_S = 5.0  # how long the supervisor may take
MOST_COMMANDS = 16  # under way at a time, either way
MOST_HINTS = 1_000  # that wait for the next round; the oldest go, as hints may
REMEMBERED = 1_000
HINT = "hint"


class Post:
    """`replica` and `held` tell this replica's name, once it has one, and which leases it works under."""

    def __init__(
        self,
        context: Context,
        shared: StoreThread[Shared],
        replica: Callable[[], str],
        held: Callable[[], Collection[str]],
    ) -> None:
        self._context = context
        self._shared = shared
        self._replica = replica
        self._held = held
        self._hints: deque[Elsewhere] = deque(maxlen=MOST_HINTS)
        self._asked: asyncio.Queue[AskHolder] = asyncio.Queue(MOST_COMMANDS)
        self._taken_up: deque[str] = deque(maxlen=REMEMBERED)  # one whose outcome could not be told comes again
        self._commands: Questions[CommandDone] = Questions(
            context.rng, most=MOST_COMMANDS, patience_s=COMMAND_S, refusal="too many commands are under way already"
        )

    async def run(self) -> None:
        """Carry both ways until cancelled. While the catalog is away hints wait, and commands are refused."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._rounds(group))
            while True:
                group.create_task(self._ask(await self._asked.get()))

    def receive(self, message: Elsewhere | AskHolder | CommandDone) -> None:
        """Something to be carried, or the supervisor's answer to a command of another replica."""
        match message:
            case Elsewhere():
                self._hints.append(message)
            case AskHolder():
                try:
                    self._asked.put_nowait(message)
                except asyncio.QueueFull:
                    problem = f"{MOST_COMMANDS} commands are under way already"
                    self._context.send(HolderAnswered(message.request_id, is_done=True, problem=problem))
            case CommandDone():
                self._commands.answered(message.request_id, message)

    async def _rounds(self, group: asyncio.TaskGroup) -> None:
        while True:
            try:
                await self._send_hints()
                for order in await self._new_orders():
                    self._taken_up.append(order.command_id)
                    group.create_task(self._carry_out(order))
            except StoreError as error:  # the worker's own rounds tell that the catalog is away
                log("post_waits", logging.DEBUG, cause=str(error))
            await asyncio.sleep(POLL_S)

    async def _send_hints(self) -> None:
        hints = list(self._hints)
        orders = [
            Order(self._new_id(), hint.actor, HINT, self._replica(), body)
            for hint in hints
            if (body := sealed(hint.message)) is not None
        ]
        if orders:
            await self._shared.call(lambda shared: shared.commands.request(*orders))
        for _ in hints:
            self._hints.popleft()

    async def _new_orders(self) -> list[Order]:
        replica, held = self._replica(), list(self._held())
        if not held:
            return []
        orders = await self._shared.call(lambda shared: shared.commands.take(replica, held))
        return [order for order in orders if order.command_id not in self._taken_up]

    async def _carry_out(self, order: Order) -> None:
        state, problem = "", ""
        if order.action == HINT:
            self._bring(order)
        else:
            try:
                done = await self._commands.ask(lambda request: self._command(request, order))
                state, problem = done.state, done.problem
            except TimeoutError:
                problem = "the supervisor has not answered"
            except FeedError as error:
                problem = str(error)
        try:
            await self._shared.call(lambda shared: shared.commands.done(order.command_id, state, problem))
        except StoreError as error:
            log("outcome_not_told", logging.WARNING, command=order.command_id, cause=str(error))

    def _command(self, request_id: str, order: Order) -> None:
        self._context.send(Command(request_id, order.actor, order.action))

    def _bring(self, order: Order) -> None:
        try:
            message = opened(order.body or "")
        except msgspec.DecodeError as error:
            log("hint_not_read", logging.WARNING, command=order.command_id, cause=str(error))
            return
        if message is not None:
            self._context.send(Brought(order.actor, message))

    async def _ask(self, asked: AskHolder) -> None:
        """Have it carried out by who holds the actor, and tell http what has become of it so far."""
        order = Order(self._new_id(), asked.actor, asked.action, self._replica())
        outcome: Outcome | None = None
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._shared.call(lambda shared: shared.commands.request(order))
                while outcome is None or not outcome.is_done:
                    await asyncio.sleep(ANSWER_POLL_S)
                    outcome = await self._shared.call(lambda shared: shared.commands.outcome(order.command_id))
        except TimeoutError:
            pass  # whoever holds it later carries it out: that is an answer too
        except StoreError as error:
            log("command_not_sent", logging.WARNING, actor_name=asked.actor, cause=str(error))
            problem = "the catalog, through which replicas hear of commands, is not available"
            self._context.send(HolderAnswered(asked.request_id, is_done=True, problem=problem))
            return
        answer = HolderAnswered(asked.request_id)
        if outcome is not None:
            answer = HolderAnswered(asked.request_id, outcome.taken_by, outcome.is_done, outcome.state, outcome.problem)
        self._context.send(answer)

    def _new_id(self) -> str:
        return f"{self._context.rng.getrandbits(128):032x}"

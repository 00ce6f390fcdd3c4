"""A conversation of two users through matrix-nio, an unmodified client library.

    converse.py --url http://host:port [--peer-url http://host:port]         both users here
    converse.py --role guest --url URL                                      one user: prints `user @id`, waits for an invite
    converse.py --role host --url URL --peer @guest:server                  one user: prints `room !id`, invites the guest

The other user may be another program that follows the same steps (js/converse.mjs does): all they say to each other, the turns
they take included, are messages in the room. Steps: register, log in, create, invite, join; 50 messages each way at the same time;
redact; type; send receipts; page back to the creation; log out. Prints `ok` last, or says what went wrong and exits with 1.
"""

import argparse
import asyncio
import collections
import hashlib
import logging
import secrets
import sys

import aiohttp
import nio

LINES = 50
STEP_SECONDS = 30
PAGE = 30
MAX_PAGES = 50
# More than all events of the conversation between two syncs: a limited timeline would be the server's mistake.
TIMELINE_LIMIT = 100


class Failure(Exception):
    """A sentence that says what went wrong."""


def expect(answer, kind, what):
    if not isinstance(answer, kind):
        raise Failure(f"{what}: {answer}")
    return answer


class Party:
    """One user: a client, its sync loop, and what the syncs have brought."""

    def __init__(self, url, role):
        self.name = f"nio-{role}-{secrets.token_hex(4)}"
        self.role = role
        self.url = url
        self.client = None
        self.room = None
        self.peer = None
        self.changed = asyncio.Event()
        self.failure = None
        self.seen = collections.Counter()
        self.lines = []  # (event id, sender, body), in the order of the syncs
        self.said = {}  # what the peer said outside the lines: word -> event id
        self.redacted = set()
        self.typing = set()
        self.receipts = set()
        self.syncing = None

    async def enter(self):
        """Registers, and logs in on a device of its own."""
        password = secrets.token_hex(12)
        # Without these limits the library tries again for ever.
        config = nio.AsyncClientConfig(max_limit_exceeded=0, max_timeouts=0)
        first = nio.AsyncClient(self.url, self.name, config=config)
        try:
            expect(await first.register(self.name, password), nio.RegisterResponse, "register")
        finally:
            await first.close()
        self.client = nio.AsyncClient(self.url, self.name, config=config)
        expect(await self.client.login(password), nio.LoginResponse, "login")
        who = expect(await self.client.whoami(), nio.WhoamiResponse, "whoami")
        if who.user_id != self.client.user_id:
            raise Failure(f"whoami says {who.user_id}, login said {self.client.user_id}")
        self.client.add_event_callback(self.on_event, nio.Event)
        self.client.add_ephemeral_callback(self.on_typing, nio.TypingNoticeEvent)
        self.client.add_ephemeral_callback(self.on_receipt, nio.ReceiptEvent)
        self.client.add_response_callback(self.on_sync, nio.SyncResponse)
        self.client.add_response_callback(self.on_sync_error, nio.SyncError)
        sync_filter = {"room": {"timeline": {"limit": TIMELINE_LIMIT}}}
        self.syncing = asyncio.create_task(self.client.sync_forever(timeout=30_000, sync_filter=sync_filter))

    async def on_event(self, room, event):
        self.seen[event.event_id] += 1
        if isinstance(event, nio.RedactionEvent):
            self.redacted.add(event.redacts)
        elif isinstance(event, nio.RoomMessageText):
            kind, _, word = event.body.partition(" ")
            if kind == "line":
                self.lines.append((event.event_id, event.sender, event.body))
            elif kind == "turn" and event.sender != self.client.user_id:
                self.said[word] = event.event_id

    async def on_typing(self, room, event):
        self.typing = set(event.users)

    async def on_receipt(self, room, event):
        self.receipts.update((receipt.user_id, receipt.event_id) for receipt in event.receipts)

    async def on_sync(self, answer):
        for room, joined in answer.rooms.join.items():
            if joined.timeline.limited and self.lines:
                self.failure = f"{self.name} was given a limited timeline in {room}"
        self.changed.set()

    async def on_sync_error(self, answer):
        self.failure = f"sync of {self.name}: {answer}"
        self.changed.set()

    async def until(self, what, condition):
        """Waits for a sync after which `condition` holds."""
        try:
            async with asyncio.timeout(STEP_SECONDS):
                while not (value := condition()):
                    if self.failure:
                        raise Failure(self.failure)
                    if self.syncing.done():
                        raise Failure(f"the sync loop of {self.name} ended: {self.syncing.exception()!r}")
                    waiting = asyncio.create_task(self.changed.wait())
                    await asyncio.wait({waiting, self.syncing}, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    self.changed.clear()
                return value
        except TimeoutError:
            raise Failure(f"{self.name} waited {STEP_SECONDS} s for {what}") from None

    async def say(self, body):
        content = {"msgtype": "m.text", "body": body}
        answer = await self.client.room_send(self.room, "m.room.message", content)
        return expect(answer, nio.RoomSendResponse, "send").event_id

    async def turn(self, word):
        """Tells the peer that we are here, and waits for it to be here too; returns its event id."""
        await self.say(f"turn {word}")
        return await self.until(f"the other side to say {word!r}", lambda: self.said.get(word))

    async def meet(self):
        if self.role == "host":
            created = await self.client.room_create(visibility=nio.RoomVisibility.private, name="conversation")
            self.room = expect(created, nio.RoomCreateResponse, "createRoom").room_id
            print(f"room {self.room}", flush=True)
            expect(await self.client.room_invite(self.room, self.peer), nio.RoomInviteResponse, "invite")
            await self.until("the guest to join", lambda: self.is_joined(self.peer))
        else:
            invited = await self.until("an invite", lambda: list(self.client.invited_rooms.values()))
            self.room, self.peer = invited[0].room_id, invited[0].inviter
            if not self.peer:
                raise Failure("the invite does not say who invites")
            expect(await self.client.join(self.room), nio.JoinResponse, "join")
            await self.until("the room after the join", lambda: self.is_joined(self.client.user_id))
        await self.turn("met")

    def is_joined(self, user):
        room = self.client.rooms.get(self.room)
        return room is not None and user in room.users and user not in room.invited_users

    async def talk(self):
        sent = [await self.say(f"line {n}") for n in range(LINES)]
        await self.until("all lines of both", lambda: len(self.lines) >= 2 * LINES)
        await self.turn("talked")
        repeated = [event for event, count in self.seen.items() if count > 1]
        if repeated:
            raise Failure(f"{self.name} received {len(repeated)} events more than once, {repeated[0]} first")
        for user in (self.client.user_id, self.peer):
            bodies = [body for _, sender, body in self.lines if sender == user]
            if bodies != [f"line {n}" for n in range(LINES)]:
                raise Failure(f"{self.name} received from {user}: {bodies}")
        if sent != [event for event, sender, _ in self.lines if sender == self.client.user_id]:
            raise Failure(f"the events {self.name} sent are not those it received")
        order = ",".join(event for event, _, _ in self.lines)
        await self.say("turn order-" + (mine := hashlib.sha256(order.encode()).hexdigest()))
        theirs = await self.until("the other side's order", lambda: [w for w in self.said if w.startswith("order-")])
        if theirs != ["order-" + mine]:
            raise Failure(f"the other side received the lines in another order than {self.name}")

    async def redact(self):
        mine = next(event for event, sender, _ in self.lines if sender == self.client.user_id)
        theirs = next(event for event, sender, _ in self.lines if sender == self.peer)
        expect(await self.client.room_redact(self.room, mine, "a slip"), nio.RoomRedactResponse, "redact")
        await self.until("both redactions", lambda: {mine, theirs} <= self.redacted)
        for event in (mine, theirs):
            got = expect(await self.client.room_get_event(self.room, event), nio.RoomGetEventResponse, "get event")
            if not isinstance(got.event, nio.RedactedEvent):
                raise Failure(f"{event} was redacted, but reads {got.event}")
        await self.turn("redacted")

    async def show_typing(self):
        expect(await self.client.room_typing(self.room, True), nio.RoomTypingResponse, "typing")
        await self.until("the other side to type", lambda: self.peer in self.typing)
        await self.turn("typed")
        expect(await self.client.room_typing(self.room, False), nio.RoomTypingResponse, "typing")
        await self.until("the other side to stop typing", lambda: self.peer not in self.typing)
        await self.turn("stopped")

    async def show_receipts(self):
        theirs = next(event for event, sender, _ in reversed(self.lines) if sender == self.peer)
        mine = next(event for event, sender, _ in reversed(self.lines) if sender == self.client.user_id)
        answer = await self.client.update_receipt_marker(self.room, theirs)
        expect(answer, nio.UpdateReceiptMarkerResponse, "receipt")
        await self.until("the other side's receipt", lambda: (self.peer, mine) in self.receipts)
        await self.turn("read")

    async def page_back(self):
        """From now to the creation; the lines must be those of the syncs, in their order."""
        start, events = self.client.next_batch, []
        for _ in range(MAX_PAGES):
            answer = await self.client.room_messages(self.room, start, limit=PAGE)
            page = expect(answer, nio.RoomMessagesResponse, "messages")
            events += page.chunk
            if not page.end or any(isinstance(event, nio.RoomCreateEvent) for event in page.chunk):
                break
            start = page.end
        if not isinstance(events[-1], nio.RoomCreateEvent):
            raise Failure(f"paging back ended at {events[-1]} and not at the room's creation")
        known = {event for event, _, _ in self.lines}
        paged = [event.event_id for event in reversed(events) if event.event_id in known]
        if paged != [event for event, _, _ in self.lines]:
            raise Failure(f"{self.name} paged back through {len(paged)} lines in another order than the syncs'")
        await self.turn("paged")

    async def log_out(self):
        """Logs out; the token is of no use afterwards."""
        self.syncing.cancel()
        await asyncio.wait({self.syncing})
        token = self.client.access_token
        expect(await self.client.logout(), nio.LogoutResponse, "logout")
        self.client.access_token = token
        answer = await self.client.whoami()
        if not isinstance(answer, nio.WhoamiError) or answer.status_code != "M_UNKNOWN_TOKEN":
            raise Failure(f"whoami after the logout answered {answer}")

    async def converse(self):
        steps = (self.meet, self.talk, self.redact, self.show_typing, self.show_receipts, self.page_back, self.log_out)
        for step in steps:
            print(f"{self.name}: {step.__name__}", file=sys.stderr)
            await step()

    async def close(self):
        if self.syncing:
            self.syncing.cancel()
        if self.client:
            await self.client.close()


async def run(arguments):
    roles = [arguments.role] if arguments.role else ["guest", "host"]
    urls = {"host": arguments.url, "guest": arguments.url}
    if not arguments.role and arguments.peer_url:
        urls["guest"] = arguments.peer_url
    parties = [Party(urls[role], role) for role in roles]
    try:
        for party in parties:
            await party.enter()
            print(f"user {party.client.user_id}", flush=True)
        if parties[-1].role == "host":
            parties[-1].peer = arguments.peer or parties[0].client.user_id
        async with asyncio.TaskGroup() as group:
            for party in parties:
                group.create_task(party.converse())
    finally:
        for party in parties:
            await party.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--peer-url", help="the guest's server address, where both users are here")
    parser.add_argument("--role", choices=["host", "guest"])
    parser.add_argument("--peer", help="whom the host invites")
    arguments = parser.parse_args()
    if arguments.role == "host" and not arguments.peer:
        parser.error("--role host needs --peer")
    # The library warns of every error answer, also of the one we provoke at the end.
    logging.disable(logging.WARNING)
    try:
        asyncio.run(run(arguments))
    except* Failure as failures:
        sys.exit("\n".join(str(failure) for failure in failures.exceptions))
    except* (OSError, aiohttp.ClientError) as failures:
        sys.exit(f"the connection failed: {failures.exceptions[0]!r}")
    print("ok")


if __name__ == "__main__":
    main()

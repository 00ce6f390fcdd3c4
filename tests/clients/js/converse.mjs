// A conversation of two users through matrix-js-sdk, an unmodified client library.
//
//     converse.mjs --url http://host:port [--peer-url http://host:port]    both users here
//     converse.mjs --role guest --url URL                                 one user: prints `user @id`, waits for an invite
//     converse.mjs --role host --url URL --peer @guest:server             one user: prints `room !id`, invites the guest
//
// The steps and the words said are those of nio/converse.py, so that the two can talk to each other.
// Prints `ok` last, or says what went wrong and exits with 1.

import { createHash, randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { setTimeout as delay } from "node:timers/promises";
import {
    ClientEvent,
    Direction,
    PendingEventOrdering,
    ReceiptType,
    RoomMemberEvent,
    SyncState,
    createClient,
} from "matrix-js-sdk";

const LINES = 50;
const STEP_MS = 30_000;
const PAGE = 30;
const MAX_PAGES = 50;
// More than all events of the conversation between two syncs: a limited timeline would be the server's mistake.
const TIMELINE_LIMIT = 100;
// The pager's first sync: short, so that it has to page.
const PAGER_LIMIT = 5;

// The library logs every request to the console; what goes wrong is told by the answers and the sync states.
for (const method of ["trace", "debug", "info", "log", "warn", "error"]) console[method] = () => {};
const print = (line) => process.stdout.write(`${line}\n`);
const note = (line) => process.stderr.write(`${line}\n`);

class Failure extends Error {}

class Party {
    constructor(url, role) {
        this.url = url;
        this.role = role;
        this.name = `js-${role}-${randomBytes(4).toString("hex")}`;
        this.password = randomBytes(12).toString("hex");
        this.peer = null;
        this.room = null;
        this.seen = new Map(); // event id -> how often a sync brought it
        this.lines = []; // { id, sender, body }, in the order of the syncs
        this.said = new Map(); // what the peer said outside the lines: word -> event id
        this.redacted = new Set();
        this.typing = new Set();
        this.receipts = new Set();
        this.failure = null;
        this.waiting = new Set();
    }

    /** Registers, and logs in on a device of its own. */
    async enter() {
        const first = createClient({ baseUrl: this.url });
        await first.registerRequest({ auth: { type: "m.login.dummy" }, username: this.name, password: this.password });
        this.client = await this.logIn();
        const { user_id: userId } = await this.client.whoami();
        if (userId !== this.client.getUserId()) {
            throw new Failure(`whoami says ${userId}, login said ${this.client.getUserId()}`);
        }
        this.client.on(ClientEvent.Event, (event) => this.onEvent(event));
        this.client.on(RoomMemberEvent.Typing, (_event, member) => this.onTyping(member));
        this.client.on(ClientEvent.Sync, (state, _previous, data) => this.onSync(state, data));
        await this.client.startClient({
            initialSyncLimit: TIMELINE_LIMIT,
            pendingEventOrdering: PendingEventOrdering.Detached,
            lazyLoadMembers: true,
        });
        await this.until("the first sync", () => this.client.isInitialSyncComplete());
    }

    async logIn() {
        const anonymous = createClient({ baseUrl: this.url });
        const answer = await anonymous.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: this.name },
            password: this.password,
        });
        return createClient({
            baseUrl: this.url,
            userId: answer.user_id,
            deviceId: answer.device_id,
            accessToken: answer.access_token,
        });
    }

    /** Every event of every sync comes here, also one that the library would drop as a repetition. */
    onEvent(event) {
        if (event.getType() === "m.receipt") {
            for (const [eventId, kinds] of Object.entries(event.getContent())) {
                for (const user of Object.keys(kinds["m.read"] ?? {})) this.receipts.add(`${user} ${eventId}`);
            }
        }
        const id = event.getId();
        if (!id || event.isState()) return;
        this.seen.set(id, (this.seen.get(id) ?? 0) + 1);
        if (event.getType() === "m.room.redaction") {
            this.redacted.add(event.event.redacts ?? event.getContent().redacts);
        }
        if (event.getType() !== "m.room.message") return;
        const body = event.getContent().body ?? "";
        const sender = event.getSender();
        if (body.startsWith("line ")) this.lines.push({ id, sender, body });
        if (body.startsWith("turn ") && sender !== this.client.getUserId()) this.said.set(body.slice(5), id);
    }

    onTyping(member) {
        if (member.typing) this.typing.add(member.userId);
        else this.typing.delete(member.userId);
    }

    onSync(state, data) {
        if (state === SyncState.Error || state === SyncState.Reconnecting) {
            this.failure = `sync of ${this.name}: ${data?.error}`;
        }
        for (const wake of this.waiting) wake();
    }

    /** Waits for a sync after which `condition` holds. */
    async until(what, condition) {
        const end = Date.now() + STEP_MS;
        for (;;) {
            const value = condition();
            if (value) return value;
            if (this.failure) throw new Failure(this.failure);
            const left = end - Date.now();
            if (left <= 0) throw new Failure(`${this.name} waited ${STEP_MS} ms for ${what}`);
            const { promise, resolve } = Promise.withResolvers();
            const stop = new AbortController();
            this.waiting.add(resolve);
            await Promise.race([promise, delay(left, null, { signal: stop.signal }).catch(() => {})]);
            this.waiting.delete(resolve);
            stop.abort();
        }
    }

    async say(body) {
        return (await this.client.sendTextMessage(this.room, body)).event_id;
    }

    /** Tells the peer that we are here, and waits for it to be here too. */
    async turn(word) {
        await this.say(`turn ${word}`);
        await this.until(`the other side to say ${JSON.stringify(word)}`, () => this.said.get(word));
    }

    async meet() {
        if (this.role === "host") {
            const created = await this.client.createRoom({ preset: "private_chat", name: "conversation" });
            this.room = created.room_id;
            print(`room ${this.room}`);
            await this.client.invite(this.room, this.peer);
            await this.until("the guest to join", () => this.membership(this.peer) === "join");
        } else {
            const invite = await this.until("an invite", () =>
                this.client.getRooms().find((room) => room.getMyMembership() === "invite"),
            );
            this.room = invite.roomId;
            this.peer = invite.getMember(this.client.getUserId())?.events.member?.getSender();
            if (!this.peer) throw new Failure("the invite does not say who invites");
            await this.client.joinRoom(this.room);
            await this.until("the room after the join", () => this.membership(this.client.getUserId()) === "join");
        }
        await this.turn("met");
    }

    membership(user) {
        const member = this.client.getRoom(this.room)?.getMember(user);
        // joinRoom() writes "join" before a sync says so; the member event comes with the sync alone.
        return member?.events.member?.getContent().membership;
    }

    async talk() {
        const sent = [];
        for (let n = 0; n < LINES; n++) sent.push(await this.say(`line ${n}`));
        await this.until("all lines of both", () => this.lines.length >= 2 * LINES);
        await this.turn("talked");
        const repeated = [...this.seen].filter(([, count]) => count > 1);
        if (repeated.length > 0) {
            throw new Failure(`${this.name} received ${repeated.length} events more than once, ${repeated[0][0]} first`);
        }
        const wanted = Array.from({ length: LINES }, (_, n) => `line ${n}`).join();
        for (const user of [this.client.getUserId(), this.peer]) {
            const bodies = this.lines.filter((line) => line.sender === user).map((line) => line.body).join();
            if (bodies !== wanted) throw new Failure(`${this.name} received from ${user}: ${bodies}`);
        }
        const mine = this.lines.filter((line) => line.sender === this.client.getUserId()).map((line) => line.id);
        if (mine.join() !== sent.join()) throw new Failure(`the events ${this.name} sent are not those it received`);
        const order = this.lines.map((line) => line.id).join();
        const timeline = this.client.getRoom(this.room).getLiveTimeline().getEvents().map((event) => event.getId());
        if (timeline.filter((id) => order.includes(id)).join() !== order) {
            throw new Failure(`the library's timeline of ${this.name} is not in the order of the syncs`);
        }
        const digest = `order-${createHash("sha256").update(order).digest("hex")}`;
        await this.say(`turn ${digest}`);
        const isOrder = (word) => word.startsWith("order-");
        const theirs = await this.until("the other side's order", () => [...this.said.keys()].find(isOrder));
        if (theirs !== digest) throw new Failure(`the other side received the lines in another order than ${this.name}`);
    }

    async redact() {
        const mine = this.lines.find((line) => line.sender === this.client.getUserId()).id;
        const theirs = this.lines.find((line) => line.sender === this.peer).id;
        await this.client.redactEvent(this.room, mine, undefined, { reason: "a slip" });
        await this.until("both redactions", () => this.redacted.has(mine) && this.redacted.has(theirs));
        for (const id of [mine, theirs]) {
            if (!this.client.getRoom(this.room).findEventById(id)?.isRedacted()) {
                throw new Failure(`the library does not show ${id} as redacted`);
            }
            const event = await this.client.fetchRoomEvent(this.room, id);
            if (event.content.body !== undefined || !event.unsigned?.redacted_because) {
                throw new Failure(`${id} was redacted, but reads ${JSON.stringify(event)}`);
            }
        }
        await this.turn("redacted");
    }

    async show_typing() {
        await this.client.sendTyping(this.room, true, STEP_MS);
        await this.until("the other side to type", () => this.typing.has(this.peer));
        await this.turn("typed");
        await this.client.sendTyping(this.room, false, 0);
        await this.until("the other side to stop typing", () => !this.typing.has(this.peer));
        await this.turn("stopped");
    }

    async show_receipts() {
        const mine = this.lines.findLast((line) => line.sender === this.client.getUserId()).id;
        const theirs = this.lines.findLast((line) => line.sender === this.peer).id;
        const event = this.client.getRoom(this.room).findEventById(theirs);
        await this.client.sendReceipt(event, ReceiptType.Read);
        await this.until("the other side's receipt", () => this.receipts.has(`${this.peer} ${mine}`));
        await this.turn("read");
    }

    /** A new device pages from now to the creation; the lines must be those of the syncs, in their order. */
    async page_back() {
        const pager = await this.logIn();
        try {
            const { promise: ready, resolve, reject } = Promise.withResolvers();
            pager.on(ClientEvent.Sync, (state, _previous, data) => {
                if (state === SyncState.Prepared) resolve();
                if (state === SyncState.Error) reject(new Failure(`the pager's sync: ${data?.error}`));
            });
            await pager.startClient({ initialSyncLimit: PAGER_LIMIT });
            await ready;
            const room = pager.getRoom(this.room);
            if (!room) throw new Failure("a new device's first sync does not have the room");
            const timeline = room.getLiveTimeline();
            if (timeline.getEvents().length > 2 * PAGER_LIMIT) throw new Failure("the pager's filter was not applied");
            for (let n = 0; n < MAX_PAGES && timeline.getPaginationToken(Direction.Backward); n++) {
                await pager.scrollback(room, PAGE);
            }
            const events = timeline.getEvents();
            if (events[0]?.getType() !== "m.room.create") {
                throw new Failure(`paging back ended at ${events[0]?.getType()} and not at the room's creation`);
            }
            const order = this.lines.map((line) => line.id);
            const paged = events.map((event) => event.getId()).filter((id) => order.includes(id));
            if (paged.join() !== order.join()) {
                throw new Failure(`${this.name} paged back through ${paged.length} lines in another order than the syncs'`);
            }
        } finally {
            pager.stopClient();
        }
        await pager.logout();
        await this.turn("paged");
    }

    /** Logs out; the token is of no use afterwards. */
    async log_out() {
        const token = this.client.getAccessToken();
        this.client.stopClient();
        await this.client.logout();
        const late = createClient({ baseUrl: this.url, accessToken: token, userId: this.client.getUserId() });
        const answer = await late.whoami().catch((error) => error);
        if (answer.errcode !== "M_UNKNOWN_TOKEN") throw new Failure(`whoami after the logout answered ${answer}`);
    }

    async converse() {
        const steps = ["meet", "talk", "redact", "show_typing", "show_receipts", "page_back", "log_out"];
        for (const step of steps) {
            note(`${this.name}: ${step}`);
            await this[step]();
        }
    }
}

function readArguments() {
    const text = { type: "string" };
    const options = { "url": text, "peer-url": text, "role": text, "peer": text };
    const { values } = parseArgs({ options });
    const role = values.role;
    if (!values.url || (role && !["host", "guest"].includes(role)) || (role === "host" && !values.peer)) {
        throw new Failure("usage: converse.mjs --url URL [--peer-url URL] | --role guest | --role host --peer USER");
    }
    return values;
}

async function main() {
    const values = readArguments();
    const urls = { host: values.url, guest: values["peer-url"] ?? values.url };
    const roles = values.role ? [values.role] : ["guest", "host"];
    const parties = roles.map((role) => new Party(values.role ? values.url : urls[role], role));
    for (const party of parties) {
        await party.enter();
        print(`user ${party.client.getUserId()}`);
    }
    if (parties.at(-1).role === "host") parties.at(-1).peer = values.peer ?? parties[0].client.getUserId();
    await Promise.all(parties.map((party) => party.converse()));
}

main().then(
    () => {
        print("ok");
        process.exit(0);
    },
    (error) => {
        // A sentence for what was expected and did not come; the place too where the library itself failed.
        note(error instanceof Failure ? error.message : error.stack);
        process.exit(1);
    },
);

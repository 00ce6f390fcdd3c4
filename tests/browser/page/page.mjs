// The page: logs in, lists rooms, shows one, sends texts and pictures. Pictures are fetched with the access token, as servers want it now, and shown from
// memory. The server's address is in the query: `?server=http://host:port`.

import { ClientEvent, EventType, MsgType, Preset, RoomEvent, SyncState, createClient } from "matrix-js-sdk";

const $ = (id) => document.getElementById(id);
const baseUrl = new URLSearchParams(location.search).get("server");

let client = null;
let shown = null; // the id of the room that is shown
const pictures = new Map(); // mxc: -> promise of a blob: address

$("login").addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    $("error").textContent = "";
    try {
        await logIn($("user").value, $("password").value);
    } catch (error) {
        $("error").textContent = error.message;
    }
});

async function logIn(user, password) {
    const session = await createClient({ baseUrl }).loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user },
        password,
        initial_device_display_name: "A small page",
    });
    client = createClient({
        baseUrl,
        accessToken: session.access_token,
        userId: session.user_id,
        deviceId: session.device_id,
    });
    client.on(ClientEvent.Sync, (state) => {
        $("state").textContent = state === SyncState.Error ? "the server cannot be reached" : "";
        if (state === SyncState.Prepared) document.body.dataset.ready = "true";
        listRooms();
    });
    client.on(ClientEvent.Room, listRooms);
    client.on(RoomEvent.Name, listRooms);
    client.on(RoomEvent.Timeline, (_event, room) => room?.roomId === shown && showRoom());
    client.on(RoomEvent.LocalEchoUpdated, (_event, room) => room.roomId === shown && showRoom());
    await client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true });
    $("who").textContent = session.user_id;
    $("login").hidden = true;
    $("login").style.display = "none";
    document.querySelector("main").hidden = false;
}

function listRooms() {
    const rooms = client.getVisibleRooms().filter((room) => room.getMyMembership() === "join");
    rooms.sort((one, other) => one.name.localeCompare(other.name));
    $("rooms").replaceChildren(
        ...rooms.map((room) => {
            const button = document.createElement("button");
            button.textContent = room.name;
            button.setAttribute("aria-current", String(room.roomId === shown));
            button.addEventListener("click", () => {
                shown = room.roomId;
                listRooms();
                showRoom();
            });
            return button;
        }),
    );
}

function showRoom() {
    const events = client.getRoom(shown).getLiveTimeline().getEvents();
    const messages = events.filter((event) => event.getType() === EventType.RoomMessage);
    $("timeline").replaceChildren(...messages.map(line));
    $("timeline").lastElementChild?.scrollIntoView();
}

function line(event) {
    const { msgtype, body, url } = event.getContent();
    const item = document.createElement("li");
    item.dataset.sent = String(event.status === null);
    const sender = document.createElement("span");
    sender.className = "sender";
    sender.textContent = event.getSender();
    item.append(sender);
    if (msgtype === MsgType.Image && url) {
        const image = document.createElement("img");
        image.alt = body;
        picture(url).then(
            (address) => (image.src = address),
            (error) => (item.dataset.error = error.message),
        );
        item.append(image);
    } else {
        item.append(body ?? "");
    }
    return item;
}

/** A picture as an address of this page: an `img` cannot show an access token. */
function picture(mxc) {
    if (!pictures.has(mxc)) pictures.set(mxc, fetchPicture(mxc));
    return pictures.get(mxc);
}

async function fetchPicture(mxc) {
    const address = client.mxcUrlToHttp(mxc, 640, 480, "scale", false, true, true);
    const answer = await fetch(address, { headers: { Authorization: `Bearer ${client.getAccessToken()}` } });
    if (!answer.ok) throw new Error(`${address}: ${answer.status} ${await answer.text()}`);
    return URL.createObjectURL(await answer.blob());
}

$("say").addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    const text = $("text").value.trim();
    const file = $("picture").files[0];
    $("say").reset();
    if (text) await client.sendTextMessage(shown, text);
    if (file) await sendPicture(file);
});

async function sendPicture(file) {
    const { content_uri: url } = await client.uploadContent(file, { name: file.name, type: file.type });
    const { width, height } = await createImageBitmap(file);
    const info = { mimetype: file.type, size: file.size, w: width, h: height };
    await client.sendMessage(shown, { msgtype: MsgType.Image, body: file.name, url, info });
}

/** For whoever drives the page: makes a room and asks somebody in. */
window.makeRoom = async (name, invite) => {
    const { room_id: room } = await client.createRoom({ name, preset: Preset.PrivateChat, invite: [invite] });
    return room;
};
window.join = (room) => client.joinRoom(room);

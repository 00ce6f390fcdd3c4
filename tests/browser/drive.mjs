// Drives the page in headless Chromium, as two people would.
//
//     drive.mjs --server http://host:port --shots FOLDER
//
// Registers two users, opens the page for each in a context of its own, has them talk and exchange a picture, and leaves screenshots. Prints `ok` last, or
// says what went wrong and exits with 1. The page is served from beside this file by a server of its own, so that the Matrix server is another origin.

import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { deflateSync, crc32 } from "node:zlib";
import { chromium } from "playwright-core";

const STEP_MS = 60_000;
const { server, shots, browser: executablePath } = parseArgs({
    options: {
        server: { type: "string" },
        shots: { type: "string" },
        browser: { type: "string", default: "/usr/bin/chromium" },
    },
}).values;

const FILES = {
    "/": ["index.html", "text/html"],
    "/page.js": ["page.js", "text/javascript"],
};

/** Serves the page on a port of its own. */
async function servePage() {
    const files = createServer(async (request, response) => {
        const file = FILES[new URL(request.url, "http://page").pathname];
        if (!file) return response.writeHead(404).end();
        response.writeHead(200, { "Content-Type": file[1] });
        response.end(await readFile(join(import.meta.dirname, "page", file[0])));
    });
    await new Promise((listening) => files.listen(0, "127.0.0.1", listening));
    return { url: `http://127.0.0.1:${files.address().port}`, close: () => files.close() };
}

async function register(name) {
    const password = randomBytes(12).toString("hex");
    const username = `${name}-${randomBytes(4).toString("hex")}`;
    const answer = await fetch(`${server}/_matrix/client/v3/register`, {
        method: "POST",
        body: JSON.stringify({ auth: { type: "m.login.dummy" }, username, password, inhibit_login: true }),
    });
    if (!answer.ok) throw new Error(`registering: ${answer.status} ${await answer.text()}`);
    const { user_id: id } = await answer.json();
    return { id, username, password };
}

/** A PNG of 480x320 with coloured stripes, made here so that nobody has to believe a file. */
function picture() {
    const [width, height] = [480, 320];
    const rows = Buffer.alloc(height * (1 + 3 * width));
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
            const at = y * (1 + 3 * width) + 1 + 3 * x;
            const stripe = Math.floor((x * 6) / width);
            rows.set([stripe % 2 ? 230 : 40, Math.floor((y * 255) / height), stripe * 45], at);
        }
    }
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 2, 0, 0, 0], 8);
    const chunk = (kind, data) => {
        const body = Buffer.concat([Buffer.from(kind), data]);
        const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
        length.writeUInt32BE(data.length);
        sum.writeUInt32BE(crc32(body));
        return Buffer.concat([length, body, sum]);
    };
    const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
    const parts = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
    return Buffer.concat([signature, ...parts]);
}

/** A page of its own for one user, whose console tells of what goes wrong. */
async function open(browser, page, complaints) {
    const context = await browser.newContext({ viewport: { width: 900, height: 640 } });
    const tab = await context.newPage();
    tab.setDefaultTimeout(STEP_MS);
    tab.on("pageerror", (error) => complaints.push(`the page threw ${error}`));
    tab.on("console", (message) => {
        // What the browser says itself: requests that CORS forbids, for one.
        if (message.type() === "error" && /CORS|Cross-Origin|blocked/.test(message.text())) complaints.push(message.text());
    });
    await tab.goto(`${page.url}/?server=${encodeURIComponent(server)}`);
    return tab;
}

async function logIn(tab, user) {
    await tab.fill("#user", user.username);
    await tab.fill("#password", user.password);
    await tab.click("#login button");
    await tab.waitForSelector("body[data-ready=true]");
}

const said = (tab, text) => tab.locator("#timeline li", { hasText: text });

async function say(tab, text) {
    await tab.fill("#text", text);
    await tab.click("#say button");
    await said(tab, text).and(tab.locator("[data-sent=true]")).waitFor();
}

/** Waits until a picture is really shown, and in the right size. */
async function sees(tab, name) {
    const image = tab.locator(`#timeline img[alt="${name}"]`);
    await image.waitFor();
    await tab.waitForFunction(
        (alt) => {
            const image = document.querySelector(`#timeline img[alt="${alt}"]`);
            return image?.complete && image.naturalWidth > 0;
        },
        name,
    );
    const shown = await image.evaluate((image) => ({ width: image.naturalWidth, height: image.naturalHeight, src: image.src }));
    if (!shown.src.startsWith("blob:")) throw new Error(`the picture comes from ${shown.src}`);
    if (shown.width * 2 !== shown.height * 3) throw new Error(`the picture is ${shown.width}x${shown.height}`);
}

async function talk(browser, page, complaints) {
    const [alice, bob] = [await register("alice"), await register("bob")];
    const [hers, his] = [await open(browser, page, complaints), await open(browser, page, complaints)];
    await hers.fill("#user", alice.username);
    await hers.fill("#password", "not her password");
    await hers.click("#login button");
    await hers.locator("#error", { hasText: /\S/ }).waitFor();
    await hers.screenshot({ path: join(shots, "1-wrong-password.png") });
    await logIn(hers, alice);
    await logIn(his, bob);
    const room = await hers.evaluate(([name, invite]) => window.makeRoom(name, invite), ["The veranda", bob.id]);
    await his.evaluate((room) => window.join(room), room);
    for (const tab of [hers, his]) await tab.locator("#rooms button", { hasText: "The veranda" }).click();
    await hers.screenshot({ path: join(shots, "2-rooms.png") });
    await say(hers, "Good morning, is anybody there?");
    await said(his, "Good morning").waitFor();
    await say(his, "I am here: žluťoučký kůň 🐎");
    await said(hers, "žluťoučký kůň 🐎").waitFor();
    await hers.setInputFiles("#picture", { name: "stripes.png", mimeType: "image/png", buffer: picture() });
    await hers.click("#say button");
    for (const tab of [hers, his]) await sees(tab, "stripes.png");
    await hers.screenshot({ path: join(shots, "3-alice.png") });
    await his.screenshot({ path: join(shots, "4-bob.png") });
    // A page that is opened anew begins from nothing, and shows the same.
    const again = await open(browser, page, complaints);
    await logIn(again, bob);
    await again.locator("#rooms button", { hasText: "The veranda" }).click();
    await said(again, "Good morning").waitFor();
    await sees(again, "stripes.png");
    await again.screenshot({ path: join(shots, "5-bob-again.png") });
}

const complaints = [];
const profile = await mkdtemp(join(tmpdir(), "plexus-browser-"));
await mkdir(shots, { recursive: true });
const page = await servePage();
let browser;
try {
    browser = await chromium.launch({
        executablePath,
        args: [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            `--crash-dumps-dir=${profile}`,
        ],
    });
    await talk(browser, page, complaints);
    if (complaints.length) throw new Error(complaints.join("\n"));
    console.log("ok");
} catch (error) {
    console.error(error.stack ?? error, complaints.join("\n"));
    process.exitCode = 1;
} finally {
    await browser?.close();
    page.close();
    await rm(profile, { recursive: true, force: true });
}

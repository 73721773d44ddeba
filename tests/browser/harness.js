// What every test stands on: a real server, a real browser, and a camera that plays a video.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PROGRAM = process.env.ATTENDANCE_PROGRAM ?? path.join(ROOT, 'target/debug/attendance');
const CHROMIUM = '/usr/bin/chromium';
/** Where screenshots and videos lie. */
export const OUT = path.join(ROOT, 'target/browser');
mkdirSync(OUT, { recursive: true });

export const SIZES = {
  phone: { width: 390, height: 844 },
  tablet: { width: 820, height: 1180 },
  desktop: { width: 1366, height: 768 },
};

/** A picture of the samples, fetched once: `obama` and `biden` are known faces, others as `obama2`. */
export function sample(name) {
  const known = path.join(OUT, 'known_faces', name, `${name}.jpg`);
  const other = path.join(OUT, 'samples', `${name}.jpg`);
  if (!existsSync(known) && !existsSync(other)) execFileSync(PROGRAM, ['samples'], { cwd: OUT, stdio: 'inherit' });
  return existsSync(known) ? known : other;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The first result of `ask` that is truthy; an error with `what` after `ms`. */
export async function until(what, ask, ms = 10_000) {
  const begun = performance.now();
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() - begun > ms) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(20);
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** A server on a data folder of its own. `namespace` names the network namespace that it runs in. */
export class Server {
  static async start({ host = '127.0.0.1', key = '', webhook = true, tls = false, args = [], namespace, env = {} } = {}) {
    const server = new Server();
    const port = await freePort();
    server.key = key;
    server.data = mkdtempSync(path.join(tmpdir(), 'attendance-browser-'));
    server.origin = `${tls ? 'https' : 'http'}://${host}:${port}`;
    server.command = [PROGRAM, 'serve', '--addr', `${host}:${port}`, '--data-dir', server.data, ...(tls ? ['--tls'] : []), ...args];
    if (namespace) server.command.unshift('ip', 'netns', 'exec', namespace);
    server.env = {
      PATH: process.env.PATH,
      RUST_LOG: 'warn',
      ATTENDANCE_ACCESS_KEY: key,
      ATTENDANCE_API_KEY: key,
      ATTENDANCE_MODELS_DIR: path.join(ROOT, 'models'),
      ATTENDANCE_WEBHOOK_URL: webhook ? `http://${host}:${port}/mock/webhook` : '',
      ...env,
    };
    await server.run();
    return server;
  }

  /** Starts the process, and returns once it listens. */
  async run() {
    const [program, ...args] = this.command;
    this.process = spawn(program, args, { env: this.env, cwd: this.data, stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    this.process.stdout.on('data', (text) => (said += text));
    await until('the server listens', () => {
      assert.equal(this.process.exitCode, null, `the server ended: ${said}`);
      return said.includes('Attendance listens on');
    }, 60_000);
  }

  /** Ends the process; the data stays. */
  async stop() {
    if (this.process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGTERM');
    await ended;
  }

  async remove() {
    await this.stop();
    rmSync(this.data, { recursive: true, force: true });
  }

  async post(route, fields, file) {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append('image', file instanceof Blob ? file : new Blob([readFileSync(file)]), 'picture.jpg');
    const headers = this.key ? { authorization: `Bearer ${this.key}` } : {};
    const response = await fetch(`${this.origin}${route}`, { method: 'POST', body: form, headers });
    const body = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    return body;
  }

  enroll(student, file) {
    return this.post('/enroll', { student_id: student }, file);
  }
}

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts Chromium. `video` is what its camera plays; `cameras: 0` leaves it without one. */
export function launch({ video, cameras = 1, permission = true, namespace, flags = [] } = {}) {
  const args = [...FLAGS, ...flags];
  args.push(`--use-fake-device-for-media-stream=device-count=${cameras}`);
  args.push(permission ? '--use-fake-ui-for-media-stream' : '--deny-permission-prompts');
  if (video) args.push(`--use-file-for-fake-video-capture=${video}`);
  let executablePath = CHROMIUM;
  if (namespace) {
    executablePath = path.join(OUT, `chromium-in-${namespace}`);
    writeFileSync(executablePath, `#!/bin/sh\nexec ip netns exec ${namespace} ${CHROMIUM} "$@"\n`, { mode: 0o755 });
  }
  return chromium.launch({ executablePath, args });
}

/**
 * A page of a fresh profile that fails the test by `page.check()` where it wrote an error to the console or asked
 * another host, but for `hosts`. `expected` is a pattern of the console errors that the test brings about.
 */
export async function visit(browser, url, { settings, expected, hosts = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: SIZES.desktop, locale: 'en-GB', ...options });
  if (settings) await context.addInitScript((values) => localStorage.getItem('attendance.settings') ?? localStorage.setItem('attendance.settings', values), JSON.stringify(settings));
  const page = await context.newPage();
  const faults = [];
  hosts.push(new URL(url).host);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !expected?.test(message.text())) faults.push(`${message.text()} ${message.location().url}`);
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  const asked = (address) => {
    const { protocol, host: to } = new URL(address);
    if (protocol !== 'blob:' && protocol !== 'data:' && !hosts.includes(to)) faults.push(`a request to ${address}`);
  };
  page.on('request', (request) => asked(request.url()));
  page.on('websocket', (socket) => asked(socket.url()));
  page.check = () => assert.deepEqual(faults, []);
  await page.goto(url);
  return page;
}

const axe = readFileSync(path.join(import.meta.dirname, 'node_modules/axe-core/axe.min.js'), 'utf8');

/** Fails where axe finds a violation on the page as it is now. */
export async function accessible(page, what) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run());
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`);
  assert.deepEqual(told, [], what);
  assert.ok(passes.length > 10, `${what}: axe looked at ${passes.length} rules`);
}

/** The face of a picture as `attendance recognize` finds it: `[top, right, bottom, left]`. */
function faceOf(file) {
  const line = execFileSync(PROGRAM, ['recognize', '--json', '--models-dir', path.join(ROOT, 'models'), file], { encoding: 'utf8' });
  return JSON.parse(line).results[0].box;
}

/**
 * A video (MJPEG) of `width` x `height` in which one person of the samples stands: the face is `face` pixels wide and its
 * middle is left of the picture's, so that a box on the wrong side of the mirror shows.
 */
export async function videoOf(name, { width = 640, height = 480, face = 130 } = {}) {
  const video = path.join(OUT, `${name}-${width}x${height}-${face}.mjpeg`);
  if (existsSync(video)) return video;
  const file = sample(name);
  const [top, right, bottom, left] = faceOf(file);
  const browser = await launch();
  const page = await browser.newPage();
  const picture = `data:image/jpeg;base64,${readFileSync(file).toString('base64')}`;
  const place = { scale: face / (right - left), x: (left + right) / 2, y: (top + bottom) / 2 };
  const frame = await page.evaluate(
    async ({ picture, width, height, place }) => {
      const image = new Image();
      image.src = picture;
      await image.decode();
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext('2d');
      context.fillStyle = '#8494a3';
      context.fillRect(0, 0, width, height);
      context.translate(width * 0.453, height * 0.42);
      context.scale(place.scale, place.scale);
      context.drawImage(image, -place.x, -place.y);
      const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.95 });
      const bytes = new Uint8Array(await blob.arrayBuffer());
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    },
    { picture, width, height, place },
  );
  await browser.close();
  const jpeg = Buffer.from(frame, 'base64');
  writeFileSync(video, Buffer.concat(Array(30).fill(jpeg)));
  return video;
}

/** How much two rectangles `{x, y, width, height}` have in common: intersection over union. */
export function overlap(a, b) {
  const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const both = Math.max(0, across) * Math.max(0, down);
  return both / (a.width * a.height + b.width * b.height - both);
}

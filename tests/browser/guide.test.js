// The JavaScript of docs/integration.md, told of a sighting by the real service.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Server, sample, until } from './harness.js';

const KEY = 'token-of-the-school';
const SECRET = 'old';
const guide = readFileSync(path.resolve(import.meta.dirname, '../../docs/integration.md'), 'utf8');

let folder, receiver, url;
before(async () => {
  const code = guide.split('```js\n')[1].split('```')[0];
  folder = mkdtempSync(path.join(tmpdir(), 'attendance-guide-'));
  writeFileSync(path.join(folder, 'receiver.mjs'), code);
  const env = { PATH: process.env.PATH, ATTENDANCE_API_KEY: KEY, ATTENDANCE_HMAC_SECRET: `${SECRET} whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw` };
  receiver = spawn(process.execPath, ['receiver.mjs', '0'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  receiver.stdout.on('data', (text) => (said += text));
  const port = await until('the receiver listens', () => said.match(/^listening on (\d+)/)?.[1]);
  url = `http://127.0.0.1:${port}/attendance`;
});
after(() => {
  receiver?.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** The report of one sighting by a service that has this token and these secrets. */
async function report(key, secrets) {
  const env = { ATTENDANCE_WEBHOOK_URL: url, ATTENDANCE_API_KEY: key, ATTENDANCE_HMAC_SECRET: secrets };
  const server = await Server.start({ env });
  try {
    await server.enroll('obama', sample('obama'));
    const answer = await server.post('/recognize/realtime', {}, sample('obama2'));
    return answer.dispatch[0].report;
  } finally {
    await server.remove();
  }
}

test('it takes what the service sends, with either secret', async () => {
  for (const secrets of [SECRET, `new ${SECRET}`, 'new whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']) {
    const { status, http_status, message } = await report(KEY, secrets);
    assert.deepEqual([status, http_status], ['sent', 200], message);
    const answer = JSON.parse(message);
    assert.deepEqual([answer.ok, answer.student_id], [true, 'obama']);
    assert.match(answer.token, /^ATT-\d+-obama$/);
  }
});

test('it refuses another token, another secret and none', async () => {
  for (const [key, secrets, code] of [
    ['another', SECRET, 'unauthorized'],
    [KEY, 'new', 'invalid_signature'],
    [KEY, '', 'invalid_signature'],
  ]) {
    const { status, http_status, message } = await report(key, secrets);
    assert.deepEqual([status, http_status], ['failed', 401], message);
    assert.match(message, new RegExp(code));
  }
});

test('it refuses what was sent more than five minutes ago, or ahead', async () => {
  const body = JSON.stringify({ event: 'attendance.recognized', student_id: 'obama' });
  const now = Math.floor(Date.now() / 1000);
  for (const at of [now - 310, now + 310]) {
    const signature = createHmac('sha256', SECRET).update(`an-id.${at}.${body}`).digest('base64');
    const headers = {
      authorization: `Bearer ${KEY}`,
      'content-type': 'application/json',
      'webhook-id': 'an-id',
      'webhook-timestamp': String(at),
      'webhook-signature': `v1,${signature}`,
    };
    const answer = await fetch(url, { method: 'POST', body, headers });
    assert.deepEqual([answer.status, await answer.json()], [400, { ok: false, code: 'stale_timestamp' }]);
  }
});

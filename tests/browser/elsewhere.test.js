// Pages that another server sends, as a school's own web server.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Server, launch, sample, videoOf, visit } from './harness.js';

const WEB = path.resolve(import.meta.dirname, '../../shared/http/web');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

let server, browser, other, origin;
before(async () => {
  server = await Server.start({ key: 'a-key' });
  browser = await launch({ video: await videoOf('obama') });
  // The folder as it is: the pages beside `web/`, which is the folder itself.
  other = http.createServer((request, response) => {
    const file = request.url.startsWith('/school/web/') ? request.url.slice(12) : { '': 'index.html' }[request.url.slice(8)] ?? `${request.url.slice(8)}.html`;
    response.writeHead(200, { 'content-type': TYPES[path.extname(file)] ?? 'application/json' });
    response.end(readFileSync(path.join(WEB, file)));
  });
  await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${other.address().port}`;
});
after(async () => {
  await browser?.close();
  other?.closeAllConnections();
  other?.close();
  await server?.remove();
});

test('they work with the address of the service in their settings', async () => {
  const hosts = [new URL(server.origin).host];
  const page = await visit(browser, `${origin}/school/enrol`, { hosts, settings: { key: 'a-key', api: server.origin } });
  await page.getByLabel('Student id').fill('obama');
  await page.locator('#files').setInputFiles(sample('obama'));
  await page.locator('.saved').waitFor();
  await page.getByRole('link', { name: 'Kiosk' }).click();
  await page.locator('.card.taken').waitFor();
  await page.getByRole('link', { name: 'Live' }).click();
  await page.locator('#feed tr.recognized').waitFor();
  page.check();
  await page.context().close();
});

test('a page of one service cannot be made to call another, and says so', async () => {
  const settings = { key: 'a-key', api: origin };
  const page = await visit(browser, `${server.origin}/`, { settings, expected: /Content Security Policy|Refused to connect|violates/ });
  await page.getByText('or this page may not call it').waitFor();
  page.check();
  await page.context().close();
});

// Opens the pages of the admin port in a real browser, as a reader with a phone, with a screen, by day and by
// night, and by keyboard alone, and looks for barriers with axe-core. Told what to do as JSON in its argument:
// base (address), chromium (path), pages ([{name, path}]), to (a customer), shots (a folder for pictures, or
// nothing). Prints what it did, then one line of JSON with the findings: none if all is well.
'use strict';
const fs = require('fs');
const path = require('path');
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const asked = JSON.parse(process.argv[2]);
const WIDTHS = [390, 1440];
const SCHEMES = ['light', 'dark'];
const TABS_MAX = 250;
const findings = [];
const found = (text) => findings.push(text);

async function look(page, { name, path: at }) {
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(asked.base + at, { waitUntil: 'load' });
  await page.evaluate(axe);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: width === 390 ? 844 : 900 });
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      const where = `${name} (${at}) at ${width} px, ${colorScheme}`;
      const seen = await page.evaluate(async (dark) => {
        const wide = document.documentElement.scrollWidth - window.innerWidth;
        const out = [...document.querySelectorAll('body *')].filter((e) => {
          const box = e.getBoundingClientRect();
          return box.width > 1 && box.right > window.innerWidth + 1 && !e.closest('.visually-hidden, .skip, thead, svg');
        });
        // The colours alone differ by night.
        const runOnly = dark ? { runOnly: ['color-contrast', 'link-in-text-block'] } : {};
        const { violations } = await window.axe.run(document, { resultTypes: ['violations'], ...runOnly });
        const said = violations.map((v) => ({
          id: v.id, impact: v.impact, nodes: v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`),
        }));
        return { wide, out: out.slice(0, 3).map((e) => e.outerHTML.slice(0, 160)), said };
      }, colorScheme === 'dark');
      if (seen.wide > 0 || seen.out.length) found(`${where}: wider than the screen by ${seen.wide}: ${seen.out.join(' | ')}`);
      for (const { id, impact, nodes } of seen.said) {
        if (impact === 'serious' || impact === 'critical') found(`${where}: ${impact} ${id}: ${nodes.join(' | ')}`);
        else console.log(`${where}: ${impact} ${id}: ${nodes.join(' | ')}`);
      }
      if (asked.shots) {
        const file = path.join(asked.shots, `${name}-${width}-${colorScheme}.png`);
        await page.screenshot({ path: file, fullPage: true });
      }
    }
  }
}

/// Presses Tab until the element that fits has the focus.
async function tabTo(page, what, fits, argument) {
  for (let n = 0; n < TABS_MAX; n += 1) {
    if (await page.evaluate(fits, argument)) return n;
    await page.keyboard.press('Tab');
  }
  throw new Error(`${what} is not reached by ${TABS_MAX} presses of Tab`);
}

const byText = (text) => document.activeElement.localName !== 'body'
  && document.activeElement.textContent.replace(/\s+/g, ' ').trim().startsWith(text);
const byName = (name) => document.activeElement.name === name;

async function until(page, what, fits, argument) {
  try {
    await page.waitForFunction(fits, argument, { timeout: 15000, polling: 50 });
  } catch {
    const seen = await page.evaluate(() => document.body.innerText.slice(0, 1500));
    throw new Error(`waited for ${what}: ${seen}`);
  }
}

async function skip(page) {
  await page.goto(asked.base, { waitUntil: 'load' });
  await page.keyboard.press('Tab');
  if (!(await page.evaluate(byText, 'Skip'))) found('the first press of Tab does not reach the skip link');
  await page.keyboard.press('Enter');
  await until(page, 'the focus in the content', () => document.activeElement.id === 'content');
}

async function pause(page) {
  await page.goto(asked.base, { waitUntil: 'load' });
  await tabTo(page, 'Pause', byText, 'Pause channel sms');
  await page.keyboard.press('Enter');
  const line = () => document.querySelector('[role=status]').textContent;
  // The button is the same element all the time: it keeps the focus through every refresh.
  await until(page, 'the button to resume, focused', byText, 'Resume channel sms');
  await until(page, 'the top line to list the pause', () => document.getElementById('health').textContent.includes('channel sms is paused'));
  console.log(`paused: ${await page.evaluate(line)}; title: ${await page.title()}`);
  await page.keyboard.press('Enter');
  await until(page, 'the button to pause, focused', byText, 'Pause channel sms');
}

async function send(page) {
  await page.goto(`${asked.base}/send`, { waitUntil: 'load' });
  await tabTo(page, 'the number', byName, 'to');
  await page.keyboard.type(asked.to);
  await page.keyboard.press('Tab');
  await page.keyboard.type('A test by keyboard');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await until(page, 'the plan', () => document.getElementById('send-it'));
  await tabTo(page, 'Send it', byText, 'Send it');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/message?id=*');
  await until(page, 'the receipt', () => document.querySelector('.state')?.textContent === 'DELIVERED');
  console.log(`sent: ${page.url().replace(asked.base, '')} is delivered`);
}

async function replay(page) {
  await page.goto(`${asked.base}/dead`, { waitUntil: 'load' });
  const letters = () => document.querySelectorAll('tbody tr').length;
  const before = await page.evaluate(letters);
  await tabTo(page, 'Replay', () => document.activeElement.dataset.post?.endsWith('/replay') && document.activeElement.textContent.startsWith('Replay ') && !document.activeElement.textContent.includes('all'));
  await page.keyboard.press('Enter');
  await until(page, 'one letter less', (n) => document.querySelectorAll('tbody tr').length === n - 1, before);
  await page.keyboard.press('Shift+Tab');
  await page.goto(`${asked.base}/dead`, { waitUntil: 'load' });
  await tabTo(page, 'Replay all', byText, 'Replay all');
  await page.keyboard.press('Enter');
  await until(page, 'the question', () => document.getElementById('sure').open);
  await tabTo(page, 'Yes', () => document.activeElement.id === 'sure-yes');
  await page.keyboard.press('Enter');
  await until(page, 'no letters', () => !document.querySelector('tbody tr'));
  console.log(`replayed: 1, then ${before - 1}; told: ${await page.evaluate(() => document.getElementById('notice').textContent)}`);
}

async function main() {
  const browser = await chromium.launch({
    executablePath: asked.chromium,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'],
  });
  const page = await (await browser.newContext({ locale: 'en-GB' })).newPage();
  page.on('pageerror', (error) => found(`${page.url()}: ${error}`));
  page.on('console', (m) => { if (m.type() === 'error') found(`${page.url()}: ${m.text()}`); });
  page.on('request', (r) => { if (!r.url().startsWith(asked.base) && !r.url().startsWith('data:')) found(`fetches ${r.url()}`); });
  const begun = Date.now();
  for (const one of asked.pages) await look(page, one);
  console.log(`looked at ${asked.pages.length} pages, ${WIDTHS.length} widths, ${SCHEMES.length} schemes: ${Date.now() - begun} ms`);
  await page.setViewportSize({ width: 1440, height: 900 });
  for (const act of [skip, pause, send, replay]) {
    try {
      await act(page);
    } catch (error) {
      found(`${act.name} by keyboard: ${error.message}`);
    }
  }
  await browser.close();
  console.log(`all took ${Date.now() - begun} ms`);
}

main().catch((error) => found(String(error.stack || error))).finally(() => {
  console.log(JSON.stringify({ findings }));
  process.exit(0);
});

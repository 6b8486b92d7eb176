/**
 * The script of the page. It only reads: it follows the stream of parts, and if there is no room for another follower, it asks for the page
 * from time to time. The parts are HTML of the relay, in which every text is escaped; the policy of the page lets no other script run.
 */
export const SCRIPT = `
'use strict';
(() => {
  const POLL_MS = 5000;
  const FOLLOW_AGAIN_AFTER = 6;
  const link = document.getElementById('link');
  const latest = new Map();
  let source;
  let poll;
  let polls = 0;

  const say = (text) => {
    if (link.textContent !== text) link.textContent = text;
  };
  const lost = () => {
    if (!link.dataset.lost) link.dataset.lost = new Date().toISOString().slice(11, 19);
    say('The relay has not answered since ' + link.dataset.lost + ' UTC. The page shows what was known then.');
  };
  const found = (text) => {
    delete link.dataset.lost;
    say(text);
  };
  // What a person marks, to copy it, stays as it is until it is no longer marked.
  const isMarked = (part) => {
    const marked = getSelection();
    return !marked.isCollapsed && marked.containsNode(part, true);
  };
  // As the browser writes it. A screen reader must not hear again what has not changed.
  const isShown = (part, html) => {
    const template = document.createElement('template');
    template.innerHTML = html;
    return part.innerHTML === template.innerHTML;
  };
  const put = (part, html) => {
    const open = [...part.querySelectorAll('details[open]')].map(({ id }) => id);
    const { activeElement } = document;
    const focused = part.contains(activeElement) ? activeElement.id : '';
    part.innerHTML = html;
    for (const id of open) document.getElementById(id)?.setAttribute('open', '');
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };
  const show = () => {
    for (const [id, html] of latest) {
      const part = document.getElementById(id);
      if (part && isMarked(part)) continue;
      latest.delete(id);
      if (part && !isShown(part, html)) put(part, html);
    }
    document.title = document.querySelector('#state > span').lastChild.textContent.trim() + ' - relay';
  };
  const ask = async () => {
    polls += 1;
    if (polls % FOLLOW_AGAIN_AFTER === 0) return follow();
    try {
      const answer = await fetch('./', { headers: { accept: 'text/html' }, cache: 'no-store' });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const part of page.querySelectorAll('[data-part]')) latest.set(part.id, part.innerHTML);
      show();
      found('Other pages follow this relay already, so this one asks every ' + POLL_MS / 1000 + ' seconds.');
    } catch {
      lost();
    }
  };
  const rest = () => {
    source?.close();
    clearInterval(poll);
    poll = undefined;
  };
  const follow = () => {
    rest();
    source = new EventSource('status/events');
    source.onmessage = ({ data }) => {
      for (const [id, html] of Object.entries(JSON.parse(data))) latest.set(id, html);
      show();
      found('Live.');
    };
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return lost();
      poll ??= setInterval(ask, POLL_MS);
      void ask();
    };
  };
  // A browser opens few connections to one server: pages that nobody sees must not take them all.
  document.addEventListener('visibilitychange', () => (document.hidden ? rest() : follow()));
  if (!document.hidden) follow();
})();
`;

// Captions: two lines at a time, each word lit as it is spoken. For every page that shows a host.
//
//   import { Captions } from "./captions.js";
//   const captions = new Captions(element, { delay: () => 80 });
//   socket.onmessage = ({ data }) => captions.take(JSON.parse(data));
//
// Times are the stage clock's milliseconds. Where each line ends is decided by the body (the same
// in recordings and on every page); a line is never wrapped here, it is set smaller where there is
// no room. Text is others' and enters the document as text only.

import { StageClock } from "./watch.js";

const LINES = 2;
const LINGER_MS = 1500; // a block stays at most so long after its last word ...
const LEAST_MS = 1000; // ... and at least so long in all
const READ_A_SECOND = { zh: 9, ja: 4 };
const READ_LATIN_A_SECOND = 20; // letters that people read in a second (as in render/captions.py)

/** How long it takes to read `text`. */
function reading(text, language) {
  const letters = Array.from(text).filter((c) => c.trim()).length;
  return Math.max(LEAST_MS, (letters * 1e3) / (READ_A_SECOND[language] ?? READ_LATIN_A_SECOND));
}

export class Captions {
  /**
   * @param target the element that lines are drawn into; its parent is the room they have.
   * @param translation the element for the translation's lines, in the same room; may be missing.
   * @param seen stage time of what is seen now, or null; without it, `clock` events tell, less
   *   `delay()` milliseconds.
   * @param begin called with an utterance when its first sound is due.
   * @param speak called with whether the host is speaking.
   * @param show called with whether there is something to read.
   */
  constructor(target, { translation = null, seen, delay = () => 0, begin = () => {}, speak = () => {}, show = () => {} } = {}) {
    this.target = target;
    this.second = translation;
    this.translations = new Map(); this.translated = null;
    this.clock = new StageClock();
    this.seen = seen ?? (() => { const now = this.clock.now(); return now === null ? null : now - delay(); });
    this.told = { begin, speak, show };
    this.list = []; this.block = null; this.spans = []; this.index = -1; this.frame = 0;
    this.on = true; this.speaking = false;
    new ResizeObserver(() => this.measure()).observe(target.parentElement);
    document.fonts?.ready.then(() => this.measure());
  }

  /** Take any event of the stage; those that are none of ours are left alone. */
  take(event) {
    switch (event.type) {
      case "caption": this.add(event); break;
      case "words": this.more(event); break;
      case "translation": this.translate(event); break;
      case "shifted": this.shifted(event); break;
      case "heard": this.heard(event); break;
      case "clock": this.clock.pulse(event.stage_ms, event.age_ms); break;
      case "body": this.clock.reset(); this.clear(); break;
      case "hello": this.clock.reset(); this.clear(); for (const each of event.captions) this.add(each); for (const each of event.translations ?? []) this.translate(each); break;
    }
  }

  /** Take a block of a translation, or a correction of it. */
  translate(event) {
    this.translations.set(`${event.turn}.${event.utterance}.${event.block}`, event);
    while (this.translations.size > 16) this.translations.delete(this.translations.keys().next().value);
    this.#run();
  }

  add({ turn, utterance, text, language, at_ms, words, lines }) {
    this.list = this.list.filter((c) => c.turn !== turn || c.utterance !== utterance);
    const characters = Array.from(text);
    const caption = {
      turn, utterance, language, characters, words: [...words], end: null, cut: false, begun: false,
      lines: lines?.length ? lines : [[0, characters.length]],
      origins: [[0, at_ms]], // stage time of its first sample, for what is said from a time on
      get at() { return this.origins.at(-1)[1]; },
    };
    this.list.push(caption);
    this.list.sort((a, b) => a.at - b.at);
    this.#run();
    return caption;
  }
  more({ turn, utterance, words, lines }) {
    const caption = this.find(turn, utterance);
    if (!caption) return;
    caption.words.push(...words);
    caption.words.sort((a, b) => a[0] - b[0]);
    if (lines?.length) caption.lines = lines;
    if (this.block?.caption === caption) this.#draw(this.block);
  }
  /** The voice ran dry and went on: the words not spoken yet come later. */
  shifted({ turn, utterance, at_ms }) {
    const caption = this.find(turn, utterance);
    if (!caption) return;
    const now = this.seen() ?? at_ms;
    const spoken = caption.words.filter((w) => this.#stage(caption, w[2]) <= now).length;
    const next = caption.words[spoken];
    caption.origins.push([next ? next[2] : now - caption.at, at_ms]);
  }
  heard({ turn, utterance, ms, finished, cancelled }) {
    const caption = this.find(turn, utterance);
    if (!caption || !finished) return;
    caption.end = caption.at + ms;
    caption.cut = cancelled;
    if (!cancelled) return;
    caption.words = caption.words.filter((w) => w[2] < ms);
    const stop = caption.words.at(-1)?.[1] ?? 0;
    caption.lines = caption.lines.filter((l) => l[0] < stop).map(([a, b]) => [a, Math.min(b, stop)]);
    if (this.block?.caption === caption) this.#draw(this.block);
  }
  find(turn, utterance) { return this.list.find((c) => c.turn === turn && c.utterance === utterance); }
  clear() { this.list = []; this.translations.clear(); this.#draw(null); this.#second(null); this.#speak(false); }
  switch(on) { this.on = on; this.#visible(); }

  /** The word being spoken, for tests and curious people. */
  get word() {
    if (!this.block || this.index < 0) return null;
    const { caption, words } = this.block;
    const [start, stop, from, to] = words[this.index];
    return {
      turn: caption.turn, utterance: caption.utterance, index: caption.words.indexOf(words[this.index]),
      text: caption.characters.slice(start, stop).join(""), start_ms: from, stop_ms: to,
    };
  }

  /** Set lines that are too long for their room smaller, all alike. */
  measure() {
    for (const [target, share] of [[this.target, 1], [this.second, 0.72]]) {
      if (!target) continue;
      target.style.fontSize = "";
      if (!target.childElementCount || !target.offsetParent) continue;
      const room = target.parentElement.clientWidth;
      const widest = Math.max(...[...target.children].map((line) => line.offsetWidth));
      if (widest > room && room > 0) target.style.fontSize = `${Math.floor((room / widest) * share * 990) / 1000}em`;
    }
  }

  #run() { if (!this.frame) this.frame = requestAnimationFrame(() => this.#step()); }

  #step() {
    this.frame = 0;
    const now = this.seen();
    if (now !== null) this.#at(now);
    if (this.list.length || this.block || this.translations.size) this.#run();
  }

  #stage(caption, ms) {
    let at = caption.origins[0][1];
    for (const [since, origin] of caption.origins) if (since <= ms) at = origin;
    return at + ms;
  }

  /** The blocks of an utterance: pairs of lines that have words with a time. */
  #blocks(caption, limit) {
    const found = [];
    for (let i = 0; i < caption.lines.length; i += LINES) {
      const lines = caption.lines.slice(i, i + LINES);
      const [first, last] = [lines[0][0], lines.at(-1)[1]];
      const words = caption.words.filter((w) => w[0] >= first && w[0] < last);
      if (!words.length) continue;
      const start = this.#stage(caption, words[0][2]);
      const said = this.#stage(caption, words.at(-1)[3]);
      const text = caption.characters.slice(first, last).join("");
      const stop = caption.cut
        ? Math.max(caption.end, start + LEAST_MS)
        : Math.max(said, Math.min(start + reading(text, caption.language), said + LINGER_MS));
      if (found.length) found.at(-1).stop = Math.min(found.at(-1).stop, start);
      found.push({ caption, key: i, lines, words, start, stop });
    }
    const open = caption.end === null && found.at(-1);
    if (open) open.stop += LINGER_MS; // more may come
    if (found.length) found.at(-1).stop = Math.min(found.at(-1).stop, limit);
    return found;
  }

  #at(now) {
    let current = null;
    for (const caption of this.list) if (caption.at <= now && !(caption.cut && caption.at >= caption.end)) current = caption;
    for (const caption of this.list) {
      if (caption.begun || caption.at > now) continue;
      caption.begun = true;
      if (!(caption.cut && caption.end <= caption.at)) this.told.begin(caption); // else never heard
    }
    this.#speak(current !== null && now >= current.at
      && (current.end !== null ? now <= current.end : now <= current.at + (current.words.at(-1)?.[3] ?? 0) + 15000));
    let shown = null;
    let limit = Infinity;
    for (const caption of this.list.toReversed()) {
      const blocks = this.#blocks(caption, limit);
      shown ??= blocks.find((b) => b.start <= now && now < b.stop) ?? null;
      if (blocks.length) limit = blocks[0].start;
    }
    // What is over goes, except the newest, which may linger.
    this.list = this.list.filter((c) => c === current || c === shown?.caption || !c.begun);
    if (current && current.end !== null && now > current.end + 20000) this.list = this.list.filter((c) => c !== current);
    const same = shown && this.block && shown.caption === this.block.caption && shown.key === this.block.key;
    if (!same && (shown || this.block)) this.#draw(shown);
    if (this.block) this.#follow(now);
    let second = null;
    for (const [key, each] of this.translations) {
      if (each.until_ms < now - 5000) this.translations.delete(key);
      else if (each.lines.length && each.at_ms <= now && now < each.until_ms && !(second?.at_ms > each.at_ms)) second = each;
    }
    if (this.translated !== second) this.#second(second);
  }

  #second(block) {
    this.translated = block;
    if (!this.second) return;
    this.second.lang = block?.language ?? "";
    this.second.replaceChildren(...(block?.lines ?? []).map((text) => {
      const line = document.createElement("span");
      line.className = "line";
      line.textContent = text;
      return line;
    }));
    this.#visible();
  }

  #speak(speaking) { if (this.speaking !== speaking) { this.speaking = speaking; this.told.speak(speaking); } }

  #draw(block) {
    if (block) { // its words or lines may be others now
      block = this.#blocks(block.caption, Infinity).find((b) => b.key === block.key) ?? null;
    }
    this.block = block;
    this.index = -1;
    this.spans = [];
    this.target.replaceChildren();
    if (block) {
      const { caption } = block;
      this.target.lang = caption.language || "en";
      const text = (from, to) => caption.characters.slice(from, to).join("");
      for (const [first, last] of block.lines) {
        const line = document.createElement("span");
        line.className = "line";
        let at = first;
        for (const [start, stop] of block.words) {
          if (start < first || start >= last) continue;
          if (start < at) { this.spans.push(this.spans.at(-1)); continue; } // two words in one place
          if (start > at) line.append(text(at, start));
          const word = document.createElement("span");
          word.textContent = text(start, Math.min(stop, last));
          line.append(word);
          this.spans.push(word);
          at = Math.min(stop, last);
        }
        line.append(text(at, last).trimEnd());
        this.target.append(line);
      }
    }
    this.#visible();
    this.measure();
  }
  #visible() { this.told.show(Boolean((this.block || this.translated) && this.on)); this.measure(); }

  #follow(now) {
    const { caption, words } = this.block;
    let index = this.index;
    while (index + 1 < words.length && this.#stage(caption, words[index + 1][2]) <= now) index++;
    if (index === this.index) return;
    for (let i = Math.max(0, this.index); i <= index; i++) if (this.spans[i]) this.spans[i].className = "said";
    if (this.spans[index]) this.spans[index].className = "now";
    this.index = index;
  }
}

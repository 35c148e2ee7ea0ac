// The stage page: picture and sound over WebRTC, chat and captions over one WebSocket.
//
// Times: `stage` is the body's clock in milliseconds; `performance.now()` is the page's. Clock
// events tie one to the other; what is on the screen now is older by the playout delay, which
// comes from the connection's own counters (`Playout`). Captions follow `Stage time seen now`.
//
// Text of others enters the document as text only (`textContent`); the server's policy forbids
// anything else.

import { Captions } from "./captions.js";
import { Backoff, Evener, Playout, StageClock, offer, preferCodecs } from "./watch.js";

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Words of the page -----------------------------------------------------------------------------

const WORDS = {
  en: {
    skip: "Skip to the chat", chat: "Chat", name: "Your name", guest: "Guest", as: "as",
    text: (host) => `Say something to ${host}`, send: "Send", sound: "Click for sound",
    newest: "Newest ↓", retry: "Try now",
    emptyWaking: (host) => `${host} is waking up.`, emptyTitle: (host) => `${host} is here.`, emptyText: "Ask anything, in English, Chinese or Japanese.",
    muteOn: "Sound off", muteOff: "Sound on", captions: "Captions", full: "Full screen", fold: "Show or hide the chat",
    connecting: "Connecting", waking: "Waking up", ready: "Ready", thinking: "Thinking", speaking: "Speaking", eased: "picture eased, machine busy",
    card: (ppm, ms) => `sound card ${ppm} ppm, offset ${ms} ms`,
    lost: "Connection lost", backIn: (s) => `Connection lost. Trying again in ${s} s`, again: "Connecting again …",
    picture: "Waiting for the picture", pictureLost: "The picture is coming back …",
    answered: (s) => `answered in ${s} s`, slow: "One moment: that was quick. Try again in a breath.",
    long: (n) => `At most ${n} characters a line.`, unsent: "Not connected; your line is kept here.",
  },
  zh: {
    skip: "跳到聊天", chat: "聊天", name: "你的名字", guest: "访客", as: "昵称",
    text: (host) => `对 ${host} 说点什么`, send: "发送", sound: "点击开启声音",
    newest: "最新消息 ↓", retry: "立即重试",
    emptyWaking: (host) => `${host} 正在醒来`, emptyTitle: (host) => `${host} 在这里`, emptyText: "用中文、英文或日文，随便问。",
    muteOn: "关闭声音", muteOff: "打开声音", captions: "字幕", full: "全屏", fold: "显示或隐藏聊天",
    connecting: "正在连接", waking: "正在醒来", ready: "在线", thinking: "正在想", speaking: "正在说", eased: "机器繁忙，画质已降低",
    card: (ppm, ms) => `声卡 ${ppm} ppm，偏差 ${ms} 毫秒`,
    lost: "连接已断开", backIn: (s) => `连接已断开，${s} 秒后重试`, again: "正在重新连接……",
    picture: "正在等待画面", pictureLost: "画面马上回来……",
    answered: (s) => `${s} 秒内回答`, slow: "稍等一下，发得有点快。",
    long: (n) => `每条最多 ${n} 个字。`, unsent: "尚未连接，内容已为你保留。",
  },
  ja: {
    skip: "チャットへ移動", chat: "チャット", name: "お名前", guest: "ゲスト", as: "名前",
    text: (host) => `${host}に話しかける`, send: "送信", sound: "クリックで音声オン",
    newest: "最新へ ↓", retry: "今すぐ再試行",
    emptyWaking: (host) => `${host}は起動中です`, emptyTitle: (host) => `${host}がいます`, emptyText: "日本語・英語・中国語で、何でも聞いてください。",
    muteOn: "音声オフ", muteOff: "音声オン", captions: "字幕", full: "全画面", fold: "チャットの表示切替",
    connecting: "接続中", waking: "起動中", ready: "待機中", thinking: "考え中", speaking: "話し中", eased: "負荷のため画質を下げています",
    card: (ppm, ms) => `サウンドカード ${ppm} ppm、ずれ ${ms} ms`,
    lost: "接続が切れました", backIn: (s) => `接続が切れました。${s} 秒後に再試行します`, again: "再接続しています…",
    picture: "映像を待っています", pictureLost: "映像が戻るまでお待ちください…",
    answered: (s) => `${s} 秒で回答`, slow: "少し待ってから送信してください。",
    long: (n) => `1 回につき ${n} 文字までです。`, unsent: "未接続です。入力は残してあります。",
  },
};
const SUGGESTIONS = [
  ["en", "What do you do when nobody is watching?"],
  ["zh", "今晚的月亮好看吗？"],
  ["ja", "好きな食べ物は何ですか？"],
];
const tongue = (navigator.languages ?? [navigator.language])
  .map((l) => l.slice(0, 2).toLowerCase()).find((l) => l in WORDS) ?? "en";
const words = WORDS[tongue];
const say = (key, ...args) => (typeof words[key] === "function" ? words[key](...args) : words[key]);

// Small things ----------------------------------------------------------------------------------

const keep = { // what the browser remembers; private windows may refuse
  get(key) { try { return localStorage.getItem(`bunraku.${key}`); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(`bunraku.${key}`, value); } catch { /* not kept */ } },
};
const make = (tag, kind, text) => {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
};
/** Language of a text, by its script: good enough to choose fonts and line breaks. */
const languageOf = (text) =>
  /[\u3041-\u30ff]/.test(text) ? "ja" : /[\u4e00-\u9fff]/.test(text) ? "zh" : "";
const markLanguage = (element, text) => { const l = languageOf(text); if (l) element.lang = l; };

const clock = new StageClock();
const playout = new Playout();
const evener = new Evener();
/** Stage time of what is seen and heard at this moment, in milliseconds; null before any pulse. */
const seenNow = () => { const now = clock.now(); return now === null ? null : now - playout.delayMs; };

// State of the page -------------------------------------------------------------------------------

const page = {
  title: $("title").textContent, link: "connecting", mind: "loading", body: "loading", detail: "",
  thinking: null, speaking: false, viewer: "", ice: [], retryAt: 0, latency: "", card: null, cardAt: 0,
  eased: false,
};

function showState() {
  const { link, mind, body } = page;
  let mood = "ready";
  let text = say("ready");
  if (link !== "open") {
    mood = link === "lost" ? "lost" : "connecting";
    text = say(link === "lost" ? "lost" : "connecting");
  } else if (page.speaking) { mood = "speaking"; text = say("speaking"); }
  else if (body !== "ready" || mind !== "ready") {
    mood = "waking";
    text = say("waking") + (page.detail && tongue === "en" ? `: ${page.detail}` : "");
  } else if (page.thinking !== null) { mood = "thinking"; text = say("thinking"); }
  if (page.eased && mood !== "lost" && mood !== "connecting") text += ` · ${say("eased")}`;
  root.dataset.link = link;
  root.dataset.mood = mood;
  put($("status-text"), text);
  put($("latency"), mood === "lost" || mood === "waking" ? "" : page.latency);
  const lost = link === "lost" || (link === "open" && root.dataset.picture === "held" && mood !== "lost");
  $("lost").hidden = !lost;
  $("retry").hidden = link !== "lost";
  if (link === "lost") {
    const left = Math.ceil((page.retryAt - performance.now()) / 1000);
    put($("lost-text"), left > 0 ? say("backIn", left) : say("again"));
  } else if (lost) put($("lost-text"), say("pictureLost"));
  put($("empty-title"), say(body === "ready" && mind === "ready" ? "emptyTitle" : "emptyWaking", page.title));
  $("status").title = $("status-text").textContent;
  put($("curtain-text"), link !== "open" ? say("connecting") + " …"
    : body !== "ready" ? say("waking") + " …" : say("picture") + " …");
  for (const chip of $("chips").children) chip.disabled = link !== "open";
}
function put(element, text) { if (element.textContent !== text) element.textContent = text; }
setInterval(() => { if (page.link === "lost") showState(); }, 250);

// Picture and sound -------------------------------------------------------------------------------

const video = $("video");

class Media {
  constructor() {
    this.peer = null; this.timer = 0; this.backoff = new Backoff(5000); this.attempt = 0;
    this.frames = 0; this.movedAt = 0; this.avoid = ""; this.state = "new"; this.times = 0;
    setInterval(() => this.#watch(), 500);
  }

  /** Connect anew. The old picture stays until the new one moves. */
  async connect() {
    clearTimeout(this.timer);
    const attempt = ++this.attempt;
    this.#close();
    if (page.link !== "open" || page.body !== "ready") return;
    const peer = new RTCPeerConnection({ iceServers: page.ice.map((urls) => ({ urls })) });
    this.peer = peer;
    this.frames = 0;
    this.movedAt = performance.now();
    this.state = "connecting";
    playout.reset();
    evener.reset();
    const sound = peer.addTransceiver("audio", { direction: "recvonly" });
    const picture = peer.addTransceiver("video", { direction: "recvonly" });
    preferCodecs(picture, this.avoid);
    const stream = new MediaStream();
    peer.ontrack = ({ track, streams }) => {
      if (attempt !== this.attempt) return;
      // One stream for both, so that the browser keeps lips and voice together.
      const target = streams[0] ?? stream;
      if (!streams[0]) stream.addTrack(track);
      if (video.srcObject !== target) { video.srcObject = target; sounder.play(); }
    };
    peer.onconnectionstatechange = () => {
      if (attempt !== this.attempt) return;
      this.state = peer.connectionState;
      if (peer.connectionState === "connected") this.backoff.reset();
      if (peer.connectionState === "failed" || peer.connectionState === "closed") this.#again();
    };
    try {
      const answer = await offer(peer, { viewer: page.viewer });
      if (attempt !== this.attempt) return;
      await peer.setRemoteDescription(answer);
      void sound;
    } catch (error) {
      if (attempt !== this.attempt) return;
      console.info("bunraku: no picture yet:", error.message);
      this.#again();
    }
  }

  stop() { clearTimeout(this.timer); this.attempt++; this.#close(); this.state = "closed"; }

  #close() {
    const peer = this.peer;
    this.peer = null;
    hold(); // before its last picture goes with the connection
    if (peer) { peer.ontrack = peer.onconnectionstatechange = null; peer.close(); }
  }

  #again() {
    this.#close();
    this.state = "waiting";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), this.backoff.next());
  }

  /** Twice a second: read the counters, and begin again when the picture stands still. */
  async #watch() {
    const peer = this.peer;
    if (!peer || peer.connectionState === "closed") return;
    await playout.read(peer).catch(() => {});
    if (peer !== this.peer) return;
    if (!video.muted) evener.even(peer, playout);
    const inbound = playout.inbound.video;
    const frames = inbound?.framesDecoded ?? 0;
    const now = performance.now();
    if (frames > this.frames) {
      this.frames = frames;
      this.movedAt = now;
      if (root.dataset.picture !== "live" && video.videoWidth) { root.dataset.picture = "live"; this.times++; fit(); showState(); }
      return;
    }
    if (document.hidden || this.state === "waiting") { this.movedAt = now; return; }
    const still = now - this.movedAt;
    if (still > (this.state === "connected" ? 4000 : 12000)) {
      if (frames === 0 && inbound?.packetsReceived > 20) this.avoid = this.avoid ? "" : "video/h264";
      this.#again();
    } else if (still > 1500 && root.dataset.picture === "live" && this.frames > 0) {
      hold();
    }
  }
}

/** Keep the last picture in view, dimmed, until a new one moves. */
function hold() {
  if (root.dataset.picture === "live") {
    const still = $("still");
    [still.width, still.height] = [video.videoWidth, video.videoHeight];
    try { still.getContext("2d").drawImage(video, 0, 0); } catch { /* nothing to keep */ }
    root.dataset.picture = "held";
  }
  showState();
}

/** Sound: browsers may want a gesture first; then the picture plays without it and we ask. */
class Sounder {
  constructor() { this.wanted = keep.get("sound") !== "off"; this.blocked = false; }

  async play() {
    video.muted = true;
    await video.play().catch(() => {}); // the picture first, whatever happens to the sound
    if (this.wanted) await this.#unmute();
    this.show();
  }
  async #unmute() {
    const allowed = navigator.userActivation?.hasBeenActive
      || navigator.getAutoplayPolicy?.("mediaelement") === "allowed";
    video.muted = false;
    try {
      await video.play();
      this.blocked = video.paused;
    } catch (error) {
      this.blocked = error.name === "NotAllowedError" && !allowed;
    }
    if (video.paused) { // refused: go on in silence
      video.muted = true;
      await video.play().catch(() => {});
    }
  }
  gesture() { if (this.wanted && this.blocked && video.srcObject) { this.blocked = false; this.#unmute().then(() => this.show()); } }
  async toggle() {
    this.wanted = this.blocked ? true : !this.wanted;
    keep.set("sound", this.wanted ? "on" : "off");
    this.blocked = false;
    if (this.wanted) await this.#unmute(); else video.muted = true;
    this.show();
  }
  show() {
    $("sound").hidden = !(this.blocked && this.wanted);
    $("mute").setAttribute("aria-pressed", String(video.muted));
    label($("mute"), say(video.muted ? "muteOff" : "muteOn"));
  }
}
function label(button, text) { button.title = text; button.setAttribute("aria-label", text); }

const sounder = new Sounder();
const media = new Media();

/** Fill the stage when little of the picture is lost by it; else show all of it. */
function fit() {
  const box = $("stage").getBoundingClientRect();
  if (!video.videoWidth || !box.width) return;
  const ratio = (video.videoWidth / video.videoHeight) / (box.width / box.height);
  const lost = 1 - Math.min(ratio, 1 / ratio);
  const most = ratio > 1 ? 0.42 : 0.2; // the sides of a room matter less than a head or hands
  root.dataset.fit = lost <= most ? "cover" : "contain";
}
new ResizeObserver(fit).observe($("stage"));
video.addEventListener("resize", fit);

// Captions ----------------------------------------------------------------------------------------

const captions = new Captions($("caption"), {
  translation: $("translation"),
  seen: seenNow,
  begin(caption) {
    chat.reveal(caption);
    put($("spoken"), caption.characters.join(""));
    if (caption.language) $("spoken").lang = caption.language;
    answered(caption.turn);
  },
  speak(speaking) { page.speaking = speaking; showState(); },
  show(shown) {
    $("captions").hidden = !shown;
    root.toggleAttribute("data-captioned", shown);
  },
});
captions.switch((keep.get("captions") ?? root.dataset.captions) !== "off");

// Latency of the last answer ----------------------------------------------------------------------

const asked = new Map(); // our own lines: id -> page time when sent
const turns = new Map(); // turn -> id
function answered(turn) {
  const id = turns.get(turn);
  if (id !== undefined && asked.has(id)) {
    tellLatency((performance.now() - asked.get(id)) / 1000);
    asked.delete(id);
  }
}
function tellLatency(seconds) { page.latency = say("answered", seconds.toFixed(1)); showState(); }

// Chat --------------------------------------------------------------------------------------------

class Chat {
  constructor() { this.turns = new Map(); this.sent = []; this.unread = 0; this.quiet = false; this.stuck = true; this.shape = ""; }

  fill(entries) {
    this.quiet = true;
    this.turns.clear();
    $("lines").replaceChildren();
    for (const entry of entries) {
      if (entry.turn === undefined) this.line(entry);
      else for (const [utterance, text, state] of entry.utterances) {
        this.reply({ turn: entry.turn, utterance, text });
        if (state !== "decided") this.reveal({ turn: entry.turn, utterance, text, cut: state === "cut" });
      }
    }
    this.quiet = false;
    this.#tidy();
    this.toEnd();
  }

  line({ id, author, text }) {
    const item = make("li", this.quiet ? "" : "new");
    const mine = this.sent.findIndex((s) => s.text === text && s.author === author);
    if (mine >= 0 && !this.quiet) {
      asked.set(id, this.sent[mine].at);
      this.sent.splice(mine, 1);
      item.classList.add("mine");
    }
    const by = make("span", "by", author || say("guest"));
    let hue = 0;
    for (const c of author || "?") hue = (hue * 31 + c.codePointAt(0)) % 360;
    by.style.setProperty("--hue", String(hue));
    markLanguage(by, author);
    const said = make("span", "", text);
    markLanguage(said, text);
    item.append(by, said);
    this.#append(item);
  }

  /** The host's bubble of a turn; dots until its first words are heard. */
  #bubble(turn) {
    let bubble = this.turns.get(turn);
    if (!bubble) {
      const item = make("li", `host${this.quiet ? "" : " new"}`);
      const said = make("span", "said");
      const dots = make("span", "dots");
      dots.append(make("i"), make("i"), make("i"));
      item.append(make("span", "by", page.title), said, dots);
      bubble = { item, said, dots, utterances: new Map() };
      this.turns.set(turn, bubble);
      this.#append(item);
    }
    return bubble;
  }
  thinking(turn) { this.#bubble(turn); }
  reply({ turn, utterance, text }) {
    const { utterances } = this.#bubble(turn);
    if (!utterances.has(utterance)) utterances.set(utterance, { text, shown: null });
  }
  /** Show an utterance: its sound begins now. */
  reveal({ turn, utterance, characters, text, cut = false }) {
    const bubble = this.#bubble(turn);
    const known = bubble.utterances.get(utterance) ?? { text: "", shown: null };
    bubble.utterances.set(utterance, known);
    known.text = text ?? characters?.join("") ?? known.text;
    if (!known.text) return;
    if (!known.shown) {
      const before = bubble.said.lastElementChild;
      const joint = before && !languageOf(known.text) ? " " : "";
      known.shown = make("span");
      bubble.said.append(joint, known.shown);
    }
    known.shown.textContent = known.text;
    markLanguage(known.shown, known.text);
    known.shown.classList.toggle("cut", cut);
    this.#follow();
  }
  /** Cut an utterance at the last word heard. */
  cut({ turn, utterance, ms }) {
    const bubble = this.turns.get(turn);
    const known = bubble?.utterances.get(utterance);
    if (!known) return;
    bubble.cut = true;
    const caption = captions.find(turn, utterance);
    const heard = caption?.words.filter((w) => w[2] < ms) ?? [];
    known.text = heard.length ? caption.characters.slice(0, heard.at(-1)[1]).join("") : "";
    if (known.text) this.reveal({ turn, utterance, text: known.text, cut: true });
    else if (known.shown) { known.shown.remove(); known.shown = null; }
  }
  done({ turn }) {
    const bubble = this.turns.get(turn);
    if (!bubble) return;
    bubble.dots.remove();
    if (!bubble.cut) {
      for (const [utterance, known] of bubble.utterances) {
        const coming = captions.find(turn, utterance);
        if (!known.shown && !coming) this.reveal({ turn, utterance, text: known.text });
      }
    }
    if (!bubble.said.childElementCount && ![...bubble.utterances.keys()].some((u) => captions.find(turn, u))) bubble.item.remove();
    this.#tidy();
  }

  #append(item) {
    const near = this.stuck;
    $("lines").append(item);
    while ($("lines").childElementCount > 200) $("lines").firstElementChild.remove();
    this.#tidy();
    if (this.quiet) return;
    if (near || item.classList.contains("mine")) this.toEnd(); else $("newest").hidden = false;
    if (root.dataset.chat === "closed") { this.unread++; $("unread").textContent = this.unread > 9 ? "9+" : this.unread; $("unread").hidden = false; }
  }
  #follow() { if (this.stuck) this.toEnd(); }
  #near() { const l = $("log"); return l.scrollHeight - l.scrollTop - l.clientHeight < 60; }
  /** Note whether the reader is at the end, and wants to stay there. */
  scrolled() {
    const { scrollHeight, clientHeight } = $("log");
    const still = this.shape === `${scrollHeight}/${clientHeight}`; // else it moved by itself
    this.shape = `${scrollHeight}/${clientHeight}`;
    if (this.#near()) { this.stuck = true; $("newest").hidden = true; } else if (still) this.stuck = false;
  }
  toEnd() {
    this.stuck = true;
    $("newest").hidden = true;
    $("log").scrollTop = $("log").scrollHeight;
    this.shape = `${$("log").scrollHeight}/${$("log").clientHeight}`;
  }
  #tidy() { $("empty").hidden = $("lines").childElementCount > 0; }

  send(text) {
    const line = text.replace(/\s+/g, " ").trim();
    if (!line) return false;
    const author = $("name").value.replace(/\s+/g, " ").trim();
    if (!link.send({ type: "line", author, text: line })) { notice(say("unsent")); return false; }
    this.sent.push({ author, text: line, at: performance.now() });
    if (this.sent.length > 10) this.sent.shift();
    notice("");
    return true;
  }
}
const chat = new Chat();

let noticeTimer = 0;
function notice(text) {
  put($("notice"), text);
  clearTimeout(noticeTimer);
  if (text) noticeTimer = setTimeout(() => put($("notice"), ""), 5000);
}

// The WebSocket -----------------------------------------------------------------------------------

const EVENTS = {
  hello(event) {
    Object.assign(page, { viewer: event.viewer, ice: event.ice, thinking: event.thinking, link: "open" }, event.status);
    page.title = event.title;
    clock.reset();
    captions.clear();
    chat.fill(event.chat);
    if (event.thinking !== null) chat.thinking(event.thinking);
    for (const caption of event.captions) captions.add(caption);
    for (const each of event.translations) captions.translate(each);
    showState();
    if (event.generation !== page.generation || !media.peer || media.state !== "connected") {
      page.generation = event.generation;
      media.backoff.reset();
      media.connect();
    }
  },
  status({ mind, body, detail }) {
    const woke = page.body !== "ready" && body === "ready";
    Object.assign(page, { mind, body, detail });
    if (mind !== "ready") page.thinking = null;
    showState();
    if (woke && !media.peer) media.connect();
  },
  body({ generation }) {
    if (generation === page.generation && media.peer) return;
    page.generation = generation;
    clock.reset();
    captions.clear();
    media.backoff.reset();
    media.connect();
  },
  chat(event) { chat.line(event); },
  thinking({ id, turn }) {
    page.thinking = turn;
    turns.set(turn, id);
    if (turns.size > 20) turns.delete(turns.keys().next().value);
    chat.thinking(turn);
    showState();
  },
  reply(event) { chat.reply(event); },
  caption(event) { page.thinking = null; captions.add(event); showState(); },
  words(event) { captions.more(event); },
  translation(event) { captions.translate(event); },
  shifted(event) { captions.shifted(event); },
  clock({ stage_ms, age_ms }) { clock.pulse(stage_ms, age_ms); },
  heard(event) { captions.heard(event); if (event.cancelled) chat.cut(event); },
  done({ turn, marks }) {
    if (page.thinking === turn) page.thinking = null;
    const id = turns.get(turn);
    if (!asked.has(id) && marks.heard > marks.received) tellLatency(marks.heard - marks.received);
    asked.delete(id);
    chat.done({ turn });
    showState();
  },
  notice({ code, limit, text }) {
    notice(say(code === "long" ? "long" : "slow", limit));
    if (text) { chat.sent.pop(); if (!$("text").value) { $("text").value = text; typed(); } }
  },
  telemetry(event) {
    page.telemetry = event;
    const eased = Boolean(event.picture);
    if (eased !== page.eased) { page.eased = eased; showState(); }
    const now = performance.now();
    if (Boolean(event.card) !== Boolean(page.card) || now - page.cardAt > 2000) { // it may be read
      page.card = event.card ?? null;
      page.cardAt = now;
      const signed = (x, digits) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(digits)}`;
      put($("card"), page.card ? say("card", signed(page.card[0], 0), signed(page.card[1], 1)) : "");
    }
  },
};

class Link {
  constructor() { this.backoff = new Backoff(8000); this.socket = null; this.timer = 0; this.at = 0; }

  open() {
    clearTimeout(this.timer);
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    page.retryAt = 0;
    const address = new URL("ws", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    this.socket = socket;
    this.at = performance.now();
    const late = setTimeout(() => socket.close(), 8000);
    socket.onopen = () => clearTimeout(late);
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.at = performance.now();
      const event = JSON.parse(data);
      if (event.type === "hello") this.backoff.reset();
      EVENTS[event.type]?.(event);
    };
    socket.onclose = () => { clearTimeout(late); if (socket === this.socket) this.#lost(); };
  }
  #lost() {
    this.socket = null;
    const wait = this.backoff.next();
    page.link = "lost";
    page.thinking = null;
    page.retryAt = performance.now() + wait;
    // The picture may go on without the chat; it is only put away when it stops moving.
    if (media.state !== "connected") media.stop();
    showState();
    this.timer = setTimeout(() => this.open(), wait);
  }
  now() { this.backoff.reset(); clearTimeout(this.timer); this.open(); showState(); }
  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }
}
const link = new Link();

addEventListener("online", () => link.now());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && page.link !== "open") link.now();
});
addEventListener("pageshow", (event) => { if (event.persisted) link.now(); });
addEventListener("pagehide", () => { link.socket?.close(); media.stop(); });
// A live body is heard from ten times a second: silence means a dead connection.
setInterval(() => {
  if (page.link === "open" && clock.offset !== null && page.body === "ready" && !document.hidden
      && performance.now() - link.at > 20000) link.socket?.close();
}, 2000);

// Controls ----------------------------------------------------------------------------------------

for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
for (const element of document.querySelectorAll("[data-label]")) {
  element.setAttribute("aria-label", say(element.dataset.label, page.title));
}
root.lang = tongue;
$("text").placeholder = say("text", page.title);
$("name").placeholder = say("guest");
$("name").value = keep.get("name") ?? "";
label($("captions-toggle"), say("captions"));
label($("full"), say("full"));
label($("chat-toggle"), say("fold"));

for (const [language, question] of SUGGESTIONS) {
  const chip = make("button", "", question);
  chip.type = "button";
  chip.lang = language;
  chip.onclick = () => { if (chat.send(question)) $("text").focus({ preventScroll: true }); };
  $("chips").append(chip);
}

const LIMIT = 500;
const ownSizing = globalThis.CSS?.supports?.("field-sizing", "content");
function typed() {
  const box = $("text");
  const left = LIMIT - Array.from(box.value).length;
  $("send").disabled = !box.value.trim() || left < 0;
  put($("left"), left <= 60 ? String(left) : "");
  $("left").classList.toggle("few", left < 0);
  if (!ownSizing) { box.style.height = "auto"; box.style.height = `${box.scrollHeight}px`; }
}
$("text").oninput = typed;
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    $("form").requestSubmit();
  }
};
$("form").onsubmit = (event) => {
  event.preventDefault();
  if ($("send").disabled) return;
  if (chat.send($("text").value)) { $("text").value = ""; typed(); }
};
$("name").onchange = () => { $("name").value = $("name").value.trim(); keep.set("name", $("name").value); };
$("name").onkeydown = (event) => {
  if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); $("text").focus(); }
};
$("newest").onclick = () => chat.toEnd();
$("log").addEventListener("scroll", () => chat.scrolled(), { passive: true });
const keepEnd = new ResizeObserver(() => { if (chat.stuck) chat.toEnd(); });
keepEnd.observe($("log"));
keepEnd.observe($("lines"));
$("retry").onclick = () => link.now();

function fold(open, remember = true) {
  root.dataset.chat = open ? "open" : "closed";
  $("chat-toggle").setAttribute("aria-expanded", String(open));
  if (remember) keep.set("chat", root.dataset.chat);
  if (open) { chat.unread = 0; $("unread").hidden = true; chat.toEnd(); }
}
fold(keep.get("chat") !== "closed", false);

$("chat-toggle").onclick = () => fold(root.dataset.chat === "closed");
$("mute").onclick = (event) => { event.stopPropagation(); sounder.toggle(); };
$("sound").onclick = (event) => { event.stopPropagation(); sounder.toggle(); };
function toggleCaptions() {
  captions.switch(!captions.on);
  keep.set("captions", captions.on ? "on" : "off");
  $("captions-toggle").setAttribute("aria-pressed", String(captions.on));
}
$("captions-toggle").onclick = toggleCaptions;
$("captions-toggle").setAttribute("aria-pressed", String(captions.on));
function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else root.requestFullscreen?.().catch(() => {});
}
$("full").onclick = toggleFull;
$("full").hidden = !document.fullscreenEnabled;

// The first gesture anywhere brings the sound; the mute button decides for itself.
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, (event) => {
    if (!event.isTrusted || event.target.closest?.("#mute, #sound") || event.key === "Escape") return;
    setTimeout(() => sounder.gesture());
  }, { passive: true });
}
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.matches?.("input, textarea");
  if (event.key === "Escape" && typing) event.target.blur();
  if (typing || event.target.closest?.("button")) return;
  if (event.key === "m") sounder.toggle();
  else if (event.key === "c") toggleCaptions();
  else if (event.key === "f") toggleFull();
  else if (event.key === "h") fold(root.dataset.chat === "closed");
  else if (event.key === "/" || event.key === "Enter") { event.preventDefault(); fold(true); $("text").focus(); }
});
let awake = 0;
function wake() {
  root.toggleAttribute("data-awake", true);
  clearTimeout(awake);
  awake = setTimeout(() => root.toggleAttribute("data-awake", false), 3500);
}
addEventListener("pointermove", wake, { passive: true });
addEventListener("pointerdown", wake, { passive: true });
wake();

// For tests and curious people; read-only ---------------------------------------------------------

Object.defineProperty(window, "bunraku", {
  value: Object.freeze({
    get link() { return page.link; },
    get mood() { return root.dataset.mood; },
    get picture() { return root.dataset.picture; },
    get peer() { return media.peer?.connectionState ?? media.state; },
    get generation() { return page.generation; },
    get pictures() { return media.times; },
    get frames() { return media.frames; },
    get codec() { return playout.inbound.video?.codecId ?? ""; },
    get audioEnergy() { return playout.inbound.audio?.totalAudioEnergy ?? 0; },
    get audioLevel() { return playout.inbound.audio?.audioLevel ?? 0; },
    get muted() { return video.muted; },
    get soundBlocked() { return sounder.blocked; },
    get inbound() {
      const pick = (s) => s && {
        packets: s.packetsReceived, lost: s.packetsLost, frames: s.framesDecoded, dropped: s.framesDropped,
        samples: s.totalSamplesReceived, concealed: s.concealedSamples, freezes: s.freezeCount,
      };
      return { audio: pick(playout.inbound.audio), video: pick(playout.inbound.video), delays_ms: { ...playout.delays } };
    },
    get delayMs() { return playout.delayMs; },
    get aheadMs() { return playout.aheadMs; },
    get held() { return { ...evener.held }; },
    get stageMs() { return clock.now(); },
    get seenMs() { return seenNow(); },
    get word() { return captions.word; },
    get telemetry() { return page.telemetry ?? null; },
  }),
});

showState();
link.open();

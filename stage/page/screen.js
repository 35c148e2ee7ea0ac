// Plays the show's HTTP Live Stream full screen, for hours and without anybody near: Media Source
// Extensions where the browser has them, its own player where it has one (Safari). What cannot be
// loaded is tried again; a show that ends and begins again is shown again.

const PLAYLIST = "hls/live.m3u8";
const MASTER = "hls/index.m3u8";
const ASK_MS = 700;
const RETRY_MS = 2000;
const STUCK_MS = 12000;
const BEHIND_S = 9; // more waits than this: go to the present
const KEEP_S = 12; // of what was shown, so that memory stays what it is
const START_SEGMENTS = 2;

const video = document.querySelector("#video");
const sound = document.querySelector("#sound");
const root = document.documentElement;
const Source = window.ManagedMediaSource ?? window.MediaSource;
const words = { en: "Sound on", ja: "音を出す", zh: "打开声音" };
sound.textContent = words[navigator.language.slice(0, 2)] ?? words.en;

const state = window.screenState = { segments: 0, runs: 0, restarts: 0, error: "" };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function text(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.text();
}

/** Return the segments of a playlist, in order: { number, name, map }, and whether it has ended. */
function read(playlist) {
  const segments = [];
  let number = 0, map = "", ended = false;
  for (const line of playlist.split("\n")) {
    const [key, ...rest] = line.split(":");
    const value = rest.join(":");
    if (key === "#EXT-X-MEDIA-SEQUENCE") number = Number(value);
    else if (key === "#EXT-X-MAP") map = /URI="([\w.-]+)"/.exec(value)?.[1] ?? "";
    else if (key === "#EXT-X-ENDLIST") ended = true;
    else if (/^[\w.-]+\.m4s$/.test(line)) segments.push({ number: number++, name: line, map });
  }
  return { segments, ended };
}

async function play() {
  try {
    await video.play();
    sound.hidden = !video.muted;
  } catch (error) {
    if (error.name !== "NotAllowedError" || video.muted) return;
    video.muted = true; // no sound without a touch: picture at once, sound when there is one
    sound.hidden = false;
    await video.play().catch(() => {});
  }
}

sound.addEventListener("click", () => { video.muted = false; sound.hidden = true; play(); });
document.addEventListener("keydown", () => { if (!sound.hidden) sound.click(); });
document.addEventListener("dblclick", () => root.requestFullscreen?.().catch(() => {}));
navigator.wakeLock?.request("screen").catch(() => {});

/** A buffer that takes one thing after another. */
class Buffer {
  constructor(source, type) {
    this.inner = source.addSourceBuffer(type);
    this.inner.mode = "sequence"; // restarts of the show follow each other without a gap
  }

  #done(start) {
    return new Promise((done, failed) => {
      const end = () => { this.inner.removeEventListener("error", broken); done(); };
      const broken = () => { this.inner.removeEventListener("updateend", end); failed(new Error("the picture cannot be decoded")); };
      this.inner.addEventListener("updateend", end, { once: true });
      this.inner.addEventListener("error", broken, { once: true });
      start();
    });
  }

  async append(name) {
    const answer = await fetch(`hls/${name}`);
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    const bytes = await answer.arrayBuffer();
    await this.#done(() => this.inner.appendBuffer(bytes));
  }

  async forget(until) {
    const shown = this.inner.buffered;
    if (shown.length && until - shown.start(0) > KEEP_S) await this.#done(() => this.inner.remove(0, until));
  }

  get end() { const shown = this.inner.buffered; return shown.length ? shown.end(shown.length - 1) : 0; }
}

/** Play until the stream ends or something breaks. */
async function watch() {
  const master = await text(MASTER);
  const codecs = /CODECS="([^"]+)"/.exec(master)?.[1] ?? "";
  const type = `video/mp4; codecs="${codecs}"`;
  if (!Source.isTypeSupported(type)) throw new Error(`this browser does not play ${codecs}`);
  const { segments, ended } = read(await text(PLAYLIST));
  if (ended || segments.length < START_SEGMENTS) throw new Error("not on air");
  const source = new Source();
  const address = URL.createObjectURL(source);
  video.disableRemotePlayback = true; // ManagedMediaSource asks for it
  video.src = address;
  try {
    await new Promise((opened) => source.addEventListener("sourceopen", opened, { once: true }));
    const buffer = new Buffer(source, type);
    let next = segments.at(-START_SEGMENTS).number, map = "";
    let moved = performance.now(), at = -1;
    for (;;) {
      const list = read(await text(PLAYLIST));
      const known = list.segments;
      if (known.length && (next < known[0].number || next > known.at(-1).number + 1)) {
        next = known.at(-START_SEGMENTS)?.number ?? known[0].number; // too slow, or a new stream
      }
      for (const segment of known.filter((one) => one.number >= next)) {
        if (segment.map !== map) { await buffer.append(segment.map); map = segment.map; state.runs += 1; }
        await buffer.append(segment.name);
        next = segment.number + 1;
        state.segments += 1;
      }
      const shown = buffer.inner.buffered;
      const first = shown.length ? shown.start(0) : 0;
      if (video.currentTime < first) video.currentTime = first;
      if (buffer.end - video.currentTime > BEHIND_S) video.currentTime = buffer.end - 3;
      if (video.paused) await play();
      if (video.currentTime !== at) { at = video.currentTime; moved = performance.now(); root.dataset.state = "playing"; }
      if (video.error) throw new Error(video.error.message);
      const over = list.ended && buffer.end - video.currentTime < 0.3;
      if (over || performance.now() - moved > STUCK_MS) throw new Error(over ? "not on air" : "nothing new");
      await buffer.forget(video.currentTime - KEEP_S / 2);
      await wait(ASK_MS);
    }
  } finally {
    URL.revokeObjectURL(address);
    root.dataset.state = "waiting";
    video.removeAttribute("src");
    video.load();
  }
}

async function native() {
  const { segments, ended } = read(await text(PLAYLIST));
  if (ended || !segments.length) throw new Error("not on air");
  video.src = MASTER;
  await play();
  let at = -1, moved = performance.now();
  for (;;) {
    await wait(ASK_MS);
    if (video.paused && !video.ended) await play();
    if (video.currentTime !== at) { at = video.currentTime; moved = performance.now(); root.dataset.state = "playing"; }
    if (video.error || video.ended || performance.now() - moved > STUCK_MS) {
      root.dataset.state = "waiting";
      throw new Error(video.error?.message ?? "not on air");
    }
  }
}

for (;;) {
  try {
    await (Source ? watch() : native());
  } catch (error) {
    state.error = String(error.message ?? error);
    state.restarts += 1;
  }
  await wait(RETRY_MS);
}

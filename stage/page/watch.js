// What every page that watches the show needs: waits, clocks, and the way to an answer.

/** Waits that grow: 0.4 s, 0.8 s ... `most`, each with a little chance so that pages do not storm. */
export class Backoff {
  constructor(most) { this.most = most; this.tries = 0; }
  next() { return Math.min(this.most, 400 * 2 ** this.tries++) * (0.8 + 0.4 * Math.random()); }
  reset() { this.tries = 0; }
}

// Time ------------------------------------------------------------------------------------------

/** The body's clock as seen from here. */
export class StageClock {
  constructor() { this.reset(); }
  reset() { this.samples = []; this.offset = null; }
  /** A pulse can arrive late but never early: the largest offset of the last seconds is right. */
  pulse(stageMs, ageMs) {
    const now = performance.now();
    const offset = stageMs + ageMs - now;
    if (this.offset !== null && Math.abs(offset - this.offset) > 500) this.samples = [];
    this.samples.push([now, offset]);
    while (this.samples[0][0] < now - 6000) this.samples.shift();
    this.offset = Math.max(...this.samples.map((s) => s[1]));
  }
  now() { return this.offset === null ? null : performance.now() + this.offset; }
}

/** How much later than sent things are seen and heard, from the connection's counters. */
export class Playout {
  constructor() { this.reset(); }
  reset() { this.before = {}; this.delays = {}; this.delayMs = 0; this.inbound = {}; this.trip = 0; this.aheadMs = null; }

  async read(peer) {
    const report = await peer.getStats();
    const seen = { audio: null, video: null, playout: null };
    for (const s of report.values()) {
      if (s.type === "inbound-rtp" && (s.kind === "audio" || s.kind === "video")) seen[s.kind] = s;
      if (s.type === "media-playout") seen.playout = s;
      if (s.type === "candidate-pair" && s.nominated && s.currentRoundTripTime !== undefined) {
        this.trip = s.currentRoundTripTime * 1e3;
      }
    }
    this.inbound = seen;
    // What is played of either, on the show's clock; only Chromium tells.
    const [picture, sound] = [seen.video?.estimatedPlayoutTimestamp, seen.audio?.estimatedPlayoutTimestamp];
    this.aheadMs = picture && sound ? picture - sound : null;
    for (const kind of ["audio", "video"]) {
      if (seen[kind]) this.#mean(kind, seen[kind].jitterBufferDelay, seen[kind].jitterBufferEmittedCount);
    }
    if (seen.playout) this.#mean("playout", seen.playout.totalPlayoutDelay, seen.playout.totalSamplesCount);
    // The browser keeps sound and picture together, so the sound's way tells for both; a page
    // whose sound is not played (no device) has only the picture's.
    const buffered = this.delays.audio !== undefined
      ? this.delays.audio + (this.delays.playout ?? 0)
      : this.delays.video;
    if (buffered !== undefined) {
      const target = Math.min(2000, buffered + this.trip / 2);
      this.delayMs = this.delayMs === 0 ? target : this.delayMs + 0.5 * (target - this.delayMs);
    }
  }

  /** Mean delay in milliseconds over what was emitted since the last reading. */
  #mean(kind, total, count) {
    if (total === undefined || count === undefined) return;
    const [oldTotal, oldCount] = this.before[kind] ?? [0, 0];
    if (count > oldCount) this.delays[kind] = ((total - oldTotal) / (count - oldCount)) * 1e3;
    this.before[kind] = [total, count];
  }
}

/**
 * Holds voice and lips together more closely than browsers do, which rest within 30 ms.
 *
 * Whichever is ahead is held longer, never both.
 */
export class Evener {
  /** `lagMs`: what a picture still needs to the screen once the browser counts it as played. */
  constructor(lagMs = 26) { this.lagMs = lagMs; this.reset(); } // 23 to 31 ms by the bench's screencast
  reset() { this.held = { audio: 0, video: 0 }; this.ahead = null; this.readings = 0; }

  /**
   * Take by how much the picture is ahead, and the delays of both; every fourth time, say whether
   * `held` (least delay of each in milliseconds, 0: as the browser likes) has changed.
   */
  step(aheadMs, delays) {
    const ahead = aheadMs - this.lagMs;
    this.ahead = this.ahead === null ? ahead : this.ahead + 0.4 * (ahead - this.ahead);
    if (++this.readings % 4 || Math.abs(this.ahead) < 5) return false;
    const by = Math.min(40, 0.7 * Math.abs(this.ahead));
    const [early, late] = this.ahead > 0 ? ["video", "audio"] : ["audio", "video"];
    this.ahead -= Math.sign(this.ahead) * by;
    const { held } = this;
    if (held[late] > Math.max(by, delays[late] - 30)) held[late] -= by;
    else { held[late] = 0; held[early] = Math.min(1000, Math.max(held[early], delays[early]) + by); }
    return true;
  }

  /** Take a reading of `playout`, and tell the connection what follows. */
  even(peer, { aheadMs, delays }) {
    if (aheadMs === null || !delays.audio || !delays.video || !this.step(aheadMs, delays)) return;
    for (const receiver of peer.getReceivers()) {
      const held = this.held[receiver.track.kind];
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = held || null;
      else if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = held / 1e3 || null;
    }
  }
}

// The connection --------------------------------------------------------------------------------

/** H.264 first, then VP8: what a browser decodes most cheaply; `avoid` goes last, where one showed nothing. */
export function preferCodecs(transceiver, avoid = "") {
  const codecs = RTCRtpReceiver.getCapabilities?.("video")?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  const rank = ({ mimeType, sdpFmtpLine = "" }) => {
    const kind = mimeType.toLowerCase();
    if (kind === avoid) return 3;
    if (kind === "video/h264") return /packetization-mode=1/.test(sdpFmtpLine) ? 0 : 0.5;
    return kind === "video/vp8" ? 1 : 2;
  };
  const offered = codecs.filter((c) => /^video\/(h264|vp8|rtx|red|ulpfec)$/i.test(c.mimeType));
  if (offered.some((c) => rank(c) < 2)) {
    try { transceiver.setCodecPreferences(offered.sort((a, b) => rank(a) - rank(b))); } catch { /* its own order */ }
  }
}

/**
 * Offer to watch and return the answer, to be set as the remote description.
 *
 * `about` may hold `viewer` (this page's id) and `view`: "stage", the whole picture, or "overlay",
 * the host alone, its colour above its matte.
 */
export async function offer(peer, about) {
  await peer.setLocalDescription(await peer.createOffer());
  await gathered(peer, 1500);
  if (peer.signalingState === "closed") throw new Error("given up meanwhile");
  const { sdp, type } = peer.localDescription;
  const reply = await fetch("offer", {
    method: "POST", headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sdp, type, ...about }),
    signal: AbortSignal.timeout?.(12000),
  });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

/** Resolve when all candidates are in the description, or after `most` milliseconds. */
function gathered(peer, most) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => { clearTimeout(timer); peer.removeEventListener("icegatheringstatechange", look); resolve(); };
    const look = () => { if (peer.iceGatheringState === "complete") end(); };
    const timer = setTimeout(end, most);
    peer.addEventListener("icegatheringstatechange", look);
  });
}

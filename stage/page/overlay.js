// The overlay: the host alone on nothing, for OBS and whatever else shows web pages over others.
//
// One video brings colour above, matte below (`render/matte.py`); each new picture of it is put
// together on the canvas as soon as the browser would have shown it. What can be asked for in the
// address: `fit`, `x`, `y`, `zoom`, `flip`, `light`, `sound`, `captions`, `host` (docs/overlay.md).

import { Captions } from "./captions.js";
import { Backoff, Evener, Playout, StageClock, offer, preferCodecs } from "./watch.js";

const GAP = 16; // rows between colour and matte
const STILL_MS = 4000; // a connection without a new picture for so long is given up
const GONE_MS = 6000; // the last picture stays in view for so long

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const video = $("video");
const canvas = $("host");
const wish = new URLSearchParams(location.search);
const number = (key, other) => (Number.isFinite(parseFloat(wish.get(key))) ? parseFloat(wish.get(key)) : other);

// Where the picture lies --------------------------------------------------------------------------

root.dataset.fit = ["cover", "height", "width"].find((fit) => fit === wish.get("fit")) ?? "contain";
const zoom = Math.min(8, Math.max(0.1, number("zoom", 1)));
canvas.style.transform = `translate(${number("x", 0)}vw, ${number("y", 0)}vh)`
  + ` scale(${wish.get("flip") === "1" ? -zoom : zoom}, ${zoom})`;

// Putting it together -----------------------------------------------------------------------------

/** Draws with the graphics processor. */
class Shader {
  constructor(gl) {
    this.gl = gl;
    const program = gl.createProgram();
    for (const [kind, text] of [
      [gl.VERTEX_SHADER, `
        attribute vec2 corner; uniform vec2 rows; varying highp vec2 colour, matte;
        void main() {
          colour = vec2(corner.x, corner.y * rows.x);
          matte = vec2(corner.x, corner.y * rows.x + rows.y);
          gl_Position = vec4(corner.x * 2.0 - 1.0, 1.0 - corner.y * 2.0, 0.0, 1.0);
        }`],
      [gl.FRAGMENT_SHADER, `
        precision highp float;
        uniform sampler2D picture; uniform vec3 light; varying vec2 colour, matte;
        void main() {
          float alpha = texture2D(picture, matte).g;
          gl_FragColor = vec4(min(texture2D(picture, colour).rgb * light, 1.0) * alpha, alpha);
        }`],
    ]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, "corner");
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const key of ["MIN_FILTER", "MAG_FILTER"]) gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${key}`], gl.NEAREST);
    for (const key of ["WRAP_S", "WRAP_T"]) gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${key}`], gl.CLAMP_TO_EDGE);
    this.rows = gl.getUniformLocation(program, "rows");
    this.light = gl.getUniformLocation(program, "light");
  }
  draw(height, light) {
    const { gl } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, video);
    gl.uniform2f(this.rows, canvas.height / height, (canvas.height + GAP) / height);
    gl.uniform3fv(this.light, light);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }
}

/** Draws without one, at half the cost of WebGL there: grey becomes opacity, colour is put into it. */
class Pen {
  constructor() { this.pen = canvas.getContext("2d"); }
  draw(height, light) {
    const { pen } = this;
    const [wide, high] = [canvas.width, canvas.height];
    const [r, g, b] = light;
    $("lamp").setAttribute("values", `${r} 0 0 0 0  0 ${g} 0 0 0  0 0 ${b} 0 0  0 0 0 1 0`);
    pen.globalCompositeOperation = "copy";
    pen.filter = "url(#matte)";
    pen.drawImage(video, 0, high + GAP, wide, high, 0, 0, wide, high);
    pen.globalCompositeOperation = "source-in";
    pen.filter = light.every((part) => part === 1) ? "none" : "url(#light)";
    pen.drawImage(video, 0, 0, wide, high, 0, 0, wide, high);
  }
}

/** Whether a graphics processor draws, not a program that plays one. */
function swift() {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  const about = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = gl?.getParameter(about?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER) ?? "software";
  return !/swiftshader|llvmpipe|software|basic render/i.test(name);
}

const gl = swift() ? canvas.getContext("webgl", { antialias: false, depth: false, stencil: false, premultipliedAlpha: true }) : null;
let shader = gl ? new Shader(gl) : new Pen();
canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); shader = null; });
canvas.addEventListener("webglcontextrestored", () => { shader = new Shader(gl); });

/** Show the picture that the video has now. */
function draw() {
  const [width, height] = [video.videoWidth, video.videoHeight];
  const high = (height - GAP) / 2;
  if (!shader || width < 2 || high < 2) return;
  if (canvas.width !== width || canvas.height !== high) [canvas.width, canvas.height] = [width, high];
  shader.draw(height, media.light);
  media.drawn++;
  media.movedAt = performance.now();
  root.dataset.picture = "live";
}

if (video.requestVideoFrameCallback) {
  const next = () => { draw(); video.requestVideoFrameCallback(next); };
  video.requestVideoFrameCallback(next);
} else {
  let shown = -1;
  const next = () => {
    if (video.currentTime !== shown) { shown = video.currentTime; draw(); }
    requestAnimationFrame(next);
  };
  next();
}

// Picture and sound -------------------------------------------------------------------------------

const clock = new StageClock();
const playout = new Playout();
const evener = new Evener();
const show = { open: false, body: "loading", generation: 0, viewer: "", ice: [] };

class Media {
  constructor() {
    this.peer = null; this.timer = 0; this.backoff = new Backoff(5000); this.attempt = 0;
    this.drawn = 0; this.movedAt = 0; this.state = "new"; this.light = [1, 1, 1]; this.connections = 0;
    setInterval(() => this.#watch(), 500);
  }

  /** Connect anew. The last picture stays in view until the new one moves. */
  async connect() {
    clearTimeout(this.timer);
    const attempt = ++this.attempt;
    this.#close();
    if (!show.open || show.body !== "ready" || wish.get("host") === "0") return;
    const peer = new RTCPeerConnection({ iceServers: show.ice.map((urls) => ({ urls })) });
    this.peer = peer;
    this.state = "connecting";
    this.movedAt = performance.now();
    playout.reset();
    evener.reset();
    peer.addTransceiver("audio", { direction: "recvonly" });
    preferCodecs(peer.addTransceiver("video", { direction: "recvonly" }));
    const stream = new MediaStream();
    peer.ontrack = ({ track, streams }) => {
      if (attempt !== this.attempt) return;
      // One stream for both, so that the browser keeps lips and voice together.
      const target = streams[0] ?? stream;
      if (!streams[0]) stream.addTrack(track);
      if (video.srcObject !== target) { video.srcObject = target; sound(); }
    };
    peer.onconnectionstatechange = () => {
      if (attempt !== this.attempt) return;
      this.state = peer.connectionState;
      if (this.state === "connected") { this.backoff.reset(); this.connections++; }
      if (this.state === "failed" || this.state === "closed") this.#again();
    };
    try {
      const answer = await offer(peer, { viewer: show.viewer, view: "overlay" });
      if (attempt !== this.attempt) return;
      await peer.setRemoteDescription({ sdp: answer.sdp, type: answer.type });
      if (wish.get("light") === "neutral") this.light = answer.light.map((part) => 1 / Math.max(part, 0.05));
    } catch (error) {
      if (attempt !== this.attempt) return;
      console.info("bunraku: no picture yet:", error.message);
      this.#again();
    }
  }

  #close() {
    const peer = this.peer;
    this.peer = null;
    if (peer) { peer.ontrack = peer.onconnectionstatechange = null; peer.close(); }
  }
  #again() {
    this.#close();
    this.state = "waiting";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), this.backoff.next());
  }

  /** Twice a second: begin again when the picture stands still, and let one that is old fade. */
  #watch() {
    if (document.hidden) this.movedAt = performance.now(); // nothing is drawn that nobody sees
    const still = performance.now() - this.movedAt;
    const peer = this.peer;
    if (peer) playout.read(peer).then(() => { if (!video.muted && peer === this.peer) evener.even(peer, playout); }).catch(() => {});
    if (still > GONE_MS && root.dataset.picture) root.dataset.picture = "gone";
    if (this.peer && still > (this.state === "connected" ? STILL_MS : 3 * STILL_MS)) this.#again();
  }
}
const media = new Media();

/** Play with sound; where the browser wants a gesture first, without, and say so (never in OBS). */
async function sound() {
  video.muted = wish.get("sound") === "0";
  let silent = false;
  try {
    await video.play();
  } catch (error) {
    silent = error.name === "NotAllowedError";
    video.muted = true;
    await video.play().catch(() => {});
  }
  const hint = silent && !window.obsstudio;
  $("hint").hidden = !hint;
  $("hint").textContent = hint ? "Click once for sound, or allow this address to play sound in the browser's settings." : "";
}
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => setTimeout(() => { if (!$("hint").hidden) sound(); }));

// The show ----------------------------------------------------------------------------------------

const EVENTS = {
  hello(event) {
    Object.assign(show, { open: true, viewer: event.viewer, ice: event.ice, body: event.status.body });
    clock.reset();
    if (event.generation !== show.generation || media.state !== "connected") EVENTS.body(event);
  },
  status({ body }) {
    const woke = show.body !== "ready" && body === "ready";
    show.body = body;
    if (woke && !media.peer) media.connect();
  },
  body({ generation }) {
    show.generation = generation;
    clock.reset();
    media.backoff.reset();
    media.connect();
  },
  clock({ stage_ms, age_ms }) { clock.pulse(stage_ms, age_ms); },
};

const ALONE_MS = 80; // captions without a host of their own: about what other pages are late
const captions = wish.get("captions") !== "1" ? null : new Captions($("caption"), {
  translation: $("translation"),
  seen() { const now = clock.now(); return now === null ? null : now - (playout.delayMs || ALONE_MS); },
  show(shown) { $("captions").hidden = !shown; },
});

const wait = new Backoff(5000);
let socket = null;
/** Hear from the show, again and again, for as long as this page is open. */
function listen() {
  const address = new URL("ws", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  const late = setTimeout(() => socket.close(), 8000);
  socket.onopen = () => clearTimeout(late);
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === "hello") wait.reset();
    EVENTS[event.type]?.(event);
    captions?.take(event);
  };
  socket.onclose = () => { clearTimeout(late); show.open = false; setTimeout(listen, wait.next()); };
}
listen();

// For tests and curious people; read-only ---------------------------------------------------------

Object.defineProperty(window, "bunraku", {
  value: Object.freeze({
    get picture() { return root.dataset.picture ?? "none"; },
    get peer() { return media.state; },
    get word() { return captions?.word ?? null; },
    get drawn() { return media.drawn; },
    get connections() { return media.connections; },
    get generation() { return show.generation; },
    get muted() { return video.muted; },
    get drawnBy() { return shader?.constructor.name ?? ""; },
    get size() { return [canvas.width, canvas.height]; },
    get light() { return media.light; },
    get audioEnergy() { return playout.inbound.audio?.totalAudioEnergy ?? 0; },
    get delayMs() { return playout.delayMs; },
    get aheadMs() { return playout.aheadMs; },
    get held() { return { ...evener.held }; },
    get stageMs() { return clock.now(); },
  }),
});

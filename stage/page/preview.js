// The workbench: sliders and cues out, pictures in. See stage/preview.py.

const $ = (id) => document.getElementById(id);
const canvas = $("picture");
const brush = canvas.getContext("2d");
const groups = [
  ["Head", /^ParamAngle/], ["Eyes", /^ParamEye/], ["Brows", /^ParamBrow/],
  ["Mouth", /^ParamMouth|^ParamCheek/], ["Body", /^ParamBody|^ParamBreath|^ParamShoulder/],
  ["Arms", /^ParamArm|^ParamHand/], ["Visemes", /^Viseme_/], ["Others", /./],
];

let socket = null;
let parameters = [];
let sliders = {};
let shown = [];
let known = false;

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws`);
  socket.binaryType = "blob";
  socket.onmessage = (event) => {
    if (typeof event.data === "string") heard(JSON.parse(event.data));
    else show(event.data);
  };
  socket.onclose = () => {
    fault("the workbench has ended; start `bunraku preview` again");
    setTimeout(connect, 1500);
  };
}

async function show(blob) {
  try {
    const picture = await createImageBitmap(blob);
    brush.drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
  } finally {
    socket.send("shown");
  }
  const now = performance.now();
  shown = shown.filter((at) => now - at < 1000);
  shown.push(now);
  $("pace").textContent = `${shown.length} a second`;
}

function heard(message) {
  if (message.type === "character") character(message);
  else if (message.type === "posed") posed(message);
  else if (message.type === "fault") fault(message.text);
  else if (message.type === "checked") checked(message.findings);
}

function fault(text) {
  $("fault").textContent = text;
  $("fault").hidden = !text;
}

function character(message) {
  fault("");
  if (known) {
    $("saved").hidden = false;
    setTimeout(() => { $("saved").hidden = true; }, 1200);
  }
  known = true;
  document.title = `${message.name} · Bunraku workbench`;
  $("name").textContent = message.name;
  fill($("scene"), message.scenes.map((name) => new Option(name, name, false, name === message.scene)));
  fill($("expressions"), message.expressions.map(cue));
  fill($("gestures"), message.gestures.map(cue));
  if (JSON.stringify(parameters) !== JSON.stringify(message.parameters)) {
    parameters = message.parameters;
    drawSliders();
  }
}

function fill(parent, children) {
  parent.replaceChildren(...children);
}

function cue(name) {
  const button = document.createElement("button");
  button.textContent = name.replaceAll("_", " ");
  button.onclick = () => send({ cue: name });
  return button;
}

function drawSliders() {
  const left = new Set(parameters);
  const made = [];
  for (const [title, pattern] of groups) {
    const own = [...left].filter((parameter) => pattern.test(parameter.id));
    if (!own.length) continue;
    own.forEach((parameter) => left.delete(parameter));
    const heading = document.createElement("h2");
    heading.textContent = title;
    made.push(heading, ...own.map(slider));
  }
  fill($("sliders"), made);
  posed({ sliders, alive: $("alive").checked });
}

function slider(parameter) {
  const row = document.createElement("div");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const output = document.createElement("output");
  row.className = "slider";
  row.dataset.id = parameter.id;
  label.textContent = parameter.id.replace(/^Param|^Viseme_/, "");
  label.title = parameter.id;
  label.htmlFor = input.id = `slider-${parameter.id}`;
  input.type = "range";
  input.min = parameter.min;
  input.max = parameter.max;
  input.step = (parameter.max - parameter.min) / 200;
  input.oninput = () => {
    output.textContent = Number(input.value).toFixed(2);
    row.classList.add("moved");
    send({ set: { [parameter.id]: Number(input.value) } });
  };
  row.append(label, input, output);
  return row;
}

function posed(message) {
  sliders = message.sliders;
  $("alive").checked = message.alive;
  for (const row of document.querySelectorAll(".slider")) {
    const parameter = parameters.find((each) => each.id === row.dataset.id);
    const input = row.querySelector("input");
    const moved = parameter.id in sliders;
    row.classList.toggle("moved", moved);
    if (document.activeElement !== input) input.value = moved ? sliders[parameter.id] : parameter.rest;
    row.querySelector("output").textContent = Number(input.value).toFixed(2);
  }
}

function checked(findings) {
  const rows = findings.map((finding) => {
    const row = document.createElement("li");
    row.className = finding.level;
    const what = document.createElement("b");
    const how = document.createElement("small");
    what.textContent = `${finding.place}: ${finding.fault}`;
    how.textContent = finding.remedy ? ` — ${finding.remedy}` : "";
    row.append(what, how);
    return row;
  });
  if (!rows.length) {
    const row = document.createElement("li");
    row.className = "good";
    row.append(Object.assign(document.createElement("b"), { textContent: "Nothing to complain about." }));
    rows.push(row);
  }
  fill($("findings"), rows);
  $("findings").hidden = false;
  $("check").disabled = false;
}

$("alive").onchange = () => send({ alive: $("alive").checked });
$("talk").onclick = () => send({ talk: true });
$("reset").onclick = () => { document.activeElement?.blur(); send({ clear: true }); };
$("scene").onchange = () => send({ scene: $("scene").value });
$("check").onclick = () => { $("check").disabled = true; send({ check: true }); };

connect();

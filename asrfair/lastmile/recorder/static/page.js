import { Microphone } from "/microphone.js";

const TAB = (() => {
  // One name a tab: it outlives a reload and is not shared with another tab.
  let name = sessionStorage.getItem("tab");
  if (!name) {
    name = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("tab", name);
  }
  return name;
})();
const ROOM_S = 60;
const BREAK_EVERY = 15;
const QUIET = 0.0015;

const main = document.getElementById("main");
const said = document.getElementById("said");
const alarm = document.getElementById("alarm");
let state;
let t;
let microphone = null;
let keys = {};

// ---- small things

function words(key, values = {}) {
  return (t[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") Object.entries(value).forEach(([event, call]) => element.addEventListener(event, call));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function button(text, call, attributes = {}) {
  return make("button", { type: "button", ...attributes, on: { click: call } }, text);
}

function show(title, ...children) {
  keys = {};
  said.textContent = "";
  alarm.textContent = "";
  const heading = make("h1", { tabindex: "-1" }, title);
  main.replaceChildren(heading, ...children);
  document.title = title;
  heading.focus();
  window.scrollTo(0, 0);
}

class Unanswered extends Error {}

async function ask(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: { "X-Tab": TAB, ...(body instanceof Blob ? { "Content-Type": "audio/wav" } : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : body instanceof Blob ? body : JSON.stringify(body),
    });
  } catch {
    throw new Unanswered(words("no_answer"));
  }
  const content = await answer.json();
  if (!answer.ok) {
    const error = new Error(content.text);
    error.reason = content.error;
    throw error;
  }
  return content;
}

async function orSay(call) {
  try {
    return await call();
  } catch (error) {
    if (error.reason === "other_tab") return otherTab();
    alarm.textContent = error.message;
    return null;
  }
}

// ---- the way through the page

async function start() {
  state = await (await fetch("/api/state", { headers: { "X-Tab": TAB } })).json();
  t = state.texts;
  document.documentElement.lang = t.language;
  document.documentElement.dir = t.direction;
  const large = document.getElementById("large");
  large.textContent = words("large_print");
  const setLarge = (on) => {
    document.documentElement.classList.toggle("large", on);
    large.setAttribute("aria-pressed", String(on));
    localStorage.setItem("large", on ? "1" : "");
  };
  large.onclick = () => setLarge(large.getAttribute("aria-pressed") !== "true");
  setLarge(localStorage.getItem("large") === "1");
  try {
    await ask("POST", "/api/tab", {});
  } catch (error) {
    if (error.reason === "other_tab") return otherTab();
    throw error;
  }
  const speaker = sessionStorage.getItem("speaker");
  if (speaker) {
    const found = await ask("POST", "/api/progress", { speaker }).catch(() => null);
    if (found) return sessionStorage.getItem("asked") ? askMicrophone(found) : questions(speaker);
  }
  return welcome();
}

function otherTab() {
  show(words("other_tab"), make("div", { class: "row" }, button(words("use_this_tab"), async () => {
    await ask("POST", "/api/tab", { take_over: true });
    start();
  }, { class: "main" })));
}

setInterval(() => {
  if (t && document.visibilityState === "visible") ask("POST", "/api/tab", {}).catch((error) => { if (error.reason === "other_tab") otherTab(); });
}, 5000);
window.addEventListener("pagehide", () => {
  fetch("/api/tab", { method: "POST", keepalive: true, headers: { "X-Tab": TAB, "Content-Type": "application/json" }, body: '{"leave": true}' }).catch(() => {});
});

async function welcome() {
  sessionStorage.removeItem("speaker");
  sessionStorage.removeItem("asked");
  state = await (await fetch("/api/state", { headers: { "X-Tab": TAB } })).json();
  document.getElementById("who").textContent = state.name;
  if (!state.unfinished.length) return consent();
  const list = state.unfinished.map((one) => button(
    words("continue_button", { speaker: one.speaker, done: one.done + one.skipped, all: state.prompts.length }),
    () => orSay(async () => {
      sessionStorage.setItem("speaker", one.speaker);
      sessionStorage.setItem("asked", "1");
      askMicrophone(await ask("POST", "/api/progress", { speaker: one.speaker }));
    }),
  ));
  show(words("continue_title"), make("p", {}, words("continue_text")), make("div", { class: "row" }, ...list),
    make("div", { class: "row" }, button(words("begin_new"), consent, { class: "main" })));
}

function consent() {
  const parts = state.consent.blocks.map((block) => {
    if (block.kind === "heading") return make("h2", {}, block.text);
    if (block.kind === "list") return make("ul", {}, ...block.rows.map((row) => make("li", {}, row)));
    return make("p", {}, block.text);
  });
  // Without agreement there is no button that leads on.
  const place = make("div", { class: "row" });
  const box = make("input", { type: "checkbox", id: "agree", on: { change: () => place.replaceChildren(...(box.checked ? [go] : [])) } });
  const go = button(words("agree_button"), () => orSay(async () => {
    const found = await ask("POST", "/api/consent", { agree: box.checked, sha256: state.consent.sha256 });
    sessionStorage.setItem("speaker", found.speaker);
    questions(found.speaker);
  }), { class: "main" });
  show(state.consent.title, ...(state.disk_nearly_full ? [make("p", { class: "advice" }, words("disk_nearly_full"))] : []),
    ...parts, make("p", { class: "faint" }, words("agreed_note")), make("label", { for: "agree" }, box, words("agree")), place);
}

function questions(speaker) {
  if (!state.questions.length) return answered(speaker, {});
  const form = make("form", {});
  for (const one of state.questions) {
    const field = make("fieldset", {}, make("legend", {}, one.question));
    if (one.values.length) {
      for (const value of ["", ...one.values]) {
        field.append(make("label", {}, make("input", { type: "radio", name: one.name, value, checked: value === "" }), value || words("rather_not")));
      }
    } else {
      field.append(make("input", { type: "text", name: one.name, maxlength: "200", "aria-label": one.question, autocomplete: "off" }));
    }
    form.append(field);
  }
  form.append(make("div", { class: "row" }, make("button", { class: "main", type: "submit" }, words("next"))));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answered(speaker, Object.fromEntries(new FormData(form)));
  });
  document.getElementById("who").textContent = speaker;
  show(words("questions_title"), make("p", {}, words("your_code", { speaker })), make("p", {}, words("questions_text")), form);
}

async function answered(speaker, answers) {
  await orSay(async () => {
    const found = await ask("POST", "/api/answers", { speaker, answers });
    sessionStorage.setItem("asked", "1");
    askMicrophone(found);
  });
}

function askMicrophone(progress) {
  document.getElementById("who").textContent = progress.speaker;
  if (microphone) return begin(progress);
  const go = button(words("microphone_button"), () => openMicrophone(progress), { class: "main" });
  show(words("microphone_title"), make("p", {}, words("microphone_text")), make("div", { class: "row" }, go));
  go.focus();
}

async function openMicrophone(progress) {
  alarm.textContent = "";
  try {
    microphone = await Microphone.open();
  } catch (error) {
    const why = { NotAllowedError: "microphone_refused", NotFoundError: "microphone_missing", NotReadableError: "microphone_busy", SecurityError: "microphone_insecure" }[error.name];
    alarm.textContent = why ? words(why) : `${error.name}: ${error.message}`;
    const go = main.querySelector("button");
    go.textContent = words("try_again");
    return;
  }
  await begin(progress);
}

async function begin(progress) {
  microphone.onend = () => { microphone = null; askMicrophone(progress); };
  await orSay(() => ask("POST", "/api/browser", { speaker: progress.speaker, ...microphone.said }));
  nextSentence(progress);
}

function nextSentence(progress) {
  const handled = new Set([...progress.done, ...progress.skipped]);
  const next = state.prompts.findIndex((one) => !handled.has(one.id));
  if (next < 0) return room(progress);
  return sentence(progress, next);
}

function processed() {
  const on = ["echo_cancellation", "noise_suppression", "auto_gain_control"].filter((name) => microphone.said[name] === true);
  return on.length ? [make("p", { class: "faint" }, words("microphone_processed", { what: on.map((name) => words(name)).join(", ") }))] : [];
}

function meter() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  bar.setAttribute("height", "10");
  svg.append(bar);
  const frame = make("div", { class: "level" }, words("level"), svg);
  let loud = 0;
  microphone.onlevel = (peak) => {
    // -60 dBFS to 0 dBFS over the whole width.
    bar.setAttribute("width", String(Math.max(0, Math.min(100, 100 + (20 * Math.log10(peak + 1e-6) * 100) / 60))));
    loud = peak > 0.985 ? 15 : Math.max(0, loud - 1);
    frame.classList.toggle("loud", loud > 0);
    if (peak > 0.985) said.textContent = words("too_loud");
  };
  return frame;
}

function sentence(progress, index) {
  const prompt = state.prompts[index];
  const { speaker } = progress;
  let running = false;
  let busy = false;
  let waiting = null; // a take that is not on the disk yet
  let heard = null;
  let current = progress;
  const done = () => current.done.includes(prompt.id);
  const advice = make("div", { "aria-live": "polite" });
  const record = button(words("record"), () => toggle(), { class: "record main", id: "record" });
  const listen = button(words("listen"), () => play(), { id: "listen" });
  const skip = button(words("skip"), () => pass(), { id: "skip" });
  const back = button(words("back"), () => { if (!running && !busy) sentence(current, index - 1); }, { id: "back" });
  const next = button(words("next"), () => { if (!next.disabled) leave(); }, { id: "next", class: "main" });
  const pause = button(words("pause"), () => rest(), { id: "pause" });

  function settle() {
    record.textContent = running ? words("stop") : words(done() || waiting ? "again" : "record");
    record.classList.toggle("running", running);
    record.classList.toggle("main", !running && !done());
    record.disabled = busy;
    listen.disabled = running || busy || !(heard || done());
    skip.disabled = running || busy || done();
    back.disabled = running || busy || index === 0;
    next.disabled = running || busy || !done() || waiting !== null;
    pause.disabled = running || busy;
  }

  async function toggle() {
    if (busy || !microphone) return;
    alarm.textContent = "";
    if (!running) {
      advice.replaceChildren();
      microphone.begin();
      running = true;
      said.textContent = words("recording");
      settle();
      return;
    }
    busy = true;
    running = false;
    settle();
    const take = await microphone.end();
    heard = URL.createObjectURL(take.wav);
    if (take.lost || take.peak < QUIET) {
      busy = false;
      said.textContent = "";
      alarm.textContent = words(take.lost ? "gap" : "too_quiet");
      settle();
      return;
    }
    waiting = take.wav;
    await save();
  }

  async function save() {
    busy = true;
    said.textContent = words("saving");
    settle();
    try {
      const found = await ask("PUT", `/api/take/${encodeURIComponent(speaker)}/${encodeURIComponent(prompt.id)}`, waiting);
      waiting = null;
      current = { ...current, done: [...new Set([...current.done, prompt.id])], skipped: current.skipped.filter((one) => one !== prompt.id) };
      said.textContent = words("saved");
      alarm.textContent = "";
      advice.replaceChildren(...found.advice.map((one) => make("p", { class: "advice" }, one.again ? `${one.text} ${words("advice_again")}` : one.text)));
    } catch (error) {
      if (error.reason === "other_tab") return otherTab();
      said.textContent = "";
      if (["cut_short", "no_recording", "too_long"].includes(error.reason)) waiting = null;
      alarm.replaceChildren(words("not_saved", { why: error.message }), " ", ...(waiting ? [button(words("save_again"), save)] : []));
    }
    busy = false;
    settle();
    if (!next.disabled) next.focus();
    return null;
  }

  async function play() {
    const address = heard ?? URL.createObjectURL(await (await fetch(`/api/take/${encodeURIComponent(speaker)}/${encodeURIComponent(prompt.id)}`)).blob());
    heard = address;
    const audio = new Audio(address);
    audio.play();
  }

  async function pass() {
    if (skip.disabled) return;
    const found = await orSay(() => ask("POST", "/api/skip", { speaker, prompt: prompt.id }));
    if (found) nextSentence(found);
  }

  function leave() {
    const handled = current.done.length + current.skipped.length;
    if (handled % BREAK_EVERY === 0 && handled < state.prompts.length) return rest(words("break_text"));
    return nextSentence(current);
  }

  function rest(text = words("paused")) {
    show(words("pause"), make("p", {}, text), make("div", { class: "row" }, button(words("resume"), () => nextSentence(current), { class: "main" })));
    main.querySelector("button").focus();
  }

  const number = words("sentence_of", { number: index + 1, all: state.prompts.length });
  show(words("read_aloud"),
    make("p", { class: "faint" }, number, make("progress", { max: state.prompts.length, value: progress.done.length + progress.skipped.length, "aria-label": number })),
    make("p", { class: "prompt", lang: state.language, dir: t.prompt_direction, id: "prompt" }, prompt.text),
    meter(), record, advice,
    make("div", { class: "row" }, listen, skip, back, pause, next),
    make("p", { class: "faint keys" }, words("keys")), ...processed());
  keys = { " ": toggle, l: () => !listen.disabled && play(), a: () => !record.disabled && toggle(), s: pass, Enter: () => !next.disabled && leave() };
  settle();
  record.focus();
}

function room(progress) {
  if (state.room_seconds >= ROOM_S) return thanks(progress);
  let left = ROOM_S;
  let timer = null;
  let waiting = null;
  const count = make("p", { class: "prompt", role: "timer" }, words("room_left", { seconds: left }));
  const go = button(words("room_button"), begin, { class: "record main", id: "room" });
  const later = button(words("room_skip"), () => thanks(progress), { id: "room-skip" });

  function begin() {
    alarm.textContent = "";
    microphone.begin();
    go.disabled = true;
    later.disabled = true;
    timer = setInterval(() => {
      left -= 1;
      count.textContent = words("room_left", { seconds: left });
      if (left <= 0) finish();
    }, 1000);
  }

  async function finish() {
    clearInterval(timer);
    const take = await microphone.end();
    waiting = take.wav;
    await save();
  }

  async function save() {
    said.textContent = words("saving");
    try {
      state.room_seconds = (await ask("PUT", "/api/room", waiting)).room_seconds;
      thanks(progress);
    } catch (error) {
      if (error.reason === "other_tab") return otherTab();
      said.textContent = "";
      alarm.replaceChildren(words("not_saved", { why: error.message }), " ", button(words("save_again"), save));
    }
    return null;
  }

  show(words("room_title"), make("p", {}, words("room_text")),
    ...(state.room_seconds >= 1 ? [make("p", { class: "faint" }, words("room_have", { seconds: Math.floor(state.room_seconds) }))] : []),
    meter(), count, go, make("div", { class: "row" }, later));
  go.focus();
}

function thanks() {
  show(words("thanks_title"), make("p", {}, words("thanks_text")),
    make("div", { class: "row" }, button(words("next_person"), welcome, { class: "main" })));
}

document.addEventListener("keydown", (event) => {
  const call = keys[event.key] ?? keys[event.key.toLowerCase()];
  if (!call || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const on = event.target;
  if (on instanceof HTMLInputElement) return;
  // A button that has the focus does what it says when it is pressed by Space or Enter.
  if (on instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter")) return;
  event.preventDefault();
  call();
});

start().catch((error) => { alarm.textContent = error.message; });

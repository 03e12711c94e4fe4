"use strict";
(() => {
  const VIRTUAL = 300, OVERSCAN = 20, BATCH = 20;
  const $ = (id) => document.getElementById(id);
  const served = document.body.hasAttribute("data-served");
  const pickers = [...document.querySelectorAll("[data-picker]")];
  const start = Object.fromEntries(pickers.map((menu) => [menu.dataset.picker, menu.value]));
  const state = { ...start, group: "", every: "" };

  async function unpack(base64) {
    const bytes = Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  /* What is picked, as indexes into the menus' choices; a picker with one choice has no menu. */
  const picked = (name) => pickers.find((menu) => menu.dataset.picker === name)?.selectedIndex ?? 0;
  const first = Object.fromEntries(["by", "engine", "condition"].map((name) => [name, picked(name)]));
  const known = (name, value) => [...($("pick-" + name)?.options ?? [])].some((option) => option.value === value);

  /* Parts with one variant for each thing that can be picked. */
  const views = [...document.querySelectorAll(".view")].map((part) => ({
    part, follows: part.dataset.follows.split(" "), shown: part.innerHTML, others: null,
    first: part.dataset.follows.split(" ").map(picked).join("|"),
    packed: part.nextElementSibling?.classList.contains("variants") ? part.nextElementSibling : null,
    now: part.dataset.follows.split(" ").map(picked).join("|"),
  }));
  async function showViews() {
    for (const view of views) {
      const key = view.follows.map(picked).join("|");
      if (key === view.now || !view.packed) continue;
      if (!view.others) view.others = JSON.parse(await unpack(view.packed.textContent)).html;
      view.part.innerHTML = key === view.first ? view.shown : view.others[key] ?? "";
      view.now = key;
      grids(view.part);
    }
  }

  /* Tables: they follow the pickers, sort with small groups below, find words, and hold only the rows in sight. */
  class DataTable {
    constructor(box) {
      this.box = box;
      this.table = box.querySelector("table");
      this.scroll = box.querySelector(".scroll");
      this.body = this.table.tBodies[0];
      this.rows = [...this.body.rows];
      this.count = Number(box.dataset.count);
      this.first = Number(box.dataset.first);
      this.follows = box.dataset.follows ? box.dataset.follows.split(" ") : [];
      this.packed = box.querySelector("script.rows");
      this.status = box.querySelector(".status");
      this.find = box.querySelector("input[type=search]");
      this.every = box.querySelector(".every");
      this.menus = [...box.querySelectorAll("select")];
      this.heads = [...this.table.tHead.rows[0].cells];
      this.heads.forEach((head, column) => this.sortable(head, column));
      this.find.addEventListener("input", () => this.show());
      this.every?.addEventListener("change", () => this.show());
      this.menus.forEach((menu) => menu.addEventListener("change", () => this.show()));
      box.querySelector("button.csv")?.addEventListener("click", (event) => this.download(event.target.dataset.file));
      this.scroll.addEventListener("scroll", () => this.found?.length > VIRTUAL && this.window(), { passive: true });
      box.querySelector(".tools").hidden = false;
      const more = box.querySelector(".more");
      if (more && this.packed) more.hidden = true;
      this.folded = box.closest("details");
      if (this.folded) this.folded.addEventListener("toggle", () => this.folded.open && this.show());
      else this.show();
    }

    sortable(head, column) {
      const text = head.querySelector(".h");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text.textContent;
      text.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => this.sort(head, column));
    }

    sort(head, column) {
      const numeric = head.classList.contains("n");
      const now = head.getAttribute("aria-sort");
      const next = now === "none" ? (numeric ? "descending" : "ascending") : now === "ascending" ? "descending" : "ascending";
      this.heads.forEach((other) => other.setAttribute("aria-sort", other === head ? next : "none"));
      const direction = next === "ascending" ? 1 : -1;
      this.compare = (a, b) => {
        const small = a.classList.contains("small") - b.classList.contains("small");
        if (small) return small;
        const x = a.cells[column], y = b.cells[column];
        if (x.dataset.v === undefined) return direction * x.textContent.localeCompare(y.textContent, undefined, { numeric: true });
        if (x.dataset.v === "" || y.dataset.v === "") return (x.dataset.v === "") - (y.dataset.v === "");
        return direction * (Number(x.dataset.v) - Number(y.dataset.v));
      };
      this.show();
    }

    async load() {
      if (!this.packed) return;
      const holder = document.createElement("template");
      holder.innerHTML = "<table><tbody>" + (await unpack(this.packed.textContent)) + "</tbody></table>";
      this.rows.push(...holder.content.querySelectorAll("tr"));
      this.packed = null;
    }

    async show() {
      const sought = this.find.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      const pinned = !sought.length && !this.every?.checked && this.follows.length > 0;
      const at = this.follows.map((name) => [name, String(picked(name))]);
      const wanted = this.menus.filter((menu) => menu.value !== "");
      const enough = pinned && this.rows.length >= this.first && this.follows.every((name) => picked(name) === first[name]);
      if (!enough) {
        try {
          this.loading = this.loading || this.load();
          await this.loading;
        } catch (error) {
          this.status.textContent = "This browser cannot unpack the other rows; they are in the run folder.";
        }
      }
      const rows = this.rows.filter((row) =>
        (!pinned || at.every(([name, index]) => row.dataset[name] === index || row.dataset[name] === "")) &&
        wanted.every((menu) => row.cells[Number(menu.dataset.column)].textContent === menu.value) &&
        (!sought.length || this.has(row, sought)));
      this.table.classList.toggle("unpinned", !pinned);
      this.found = this.compare ? rows.sort(this.compare) : rows;
      this.virtual = this.found.length > VIRTUAL;
      this.table.classList.toggle("virtual", this.virtual);
      if (this.virtual) {
        this.scroll.scrollTop = 0;
        this.height = 0;
        this.table.setAttribute("aria-rowcount", String(this.found.length + 1));
        this.window();
      } else {
        this.table.removeAttribute("aria-rowcount");
        this.body.replaceChildren(...this.found);
      }
      this.status.textContent = `${this.found.length} of ${this.count} rows`;
    }

    has(row, sought) {
      row.words = row.words ?? [...row.cells].filter((cell) => !cell.classList.contains("n")).map((cell) => cell.textContent).join(" ").toLowerCase();
      return sought.every((word) => row.words.includes(word));
    }

    window() {
      if (!this.height) {
        this.body.replaceChildren(...this.found.slice(0, OVERSCAN));
        this.height = Math.max(this.body.getBoundingClientRect().height / OVERSCAN, 20);
      }
      const first = Math.max(Math.floor(this.scroll.scrollTop / this.height) - OVERSCAN, 0);
      const last = Math.min(first + Math.ceil(this.scroll.clientHeight / this.height) + 2 * OVERSCAN, this.found.length);
      const shown = this.found.slice(first, last);
      shown.forEach((row, index) => row.setAttribute("aria-rowindex", String(first + index + 2)));
      this.body.replaceChildren(this.spacer(first), ...shown, this.spacer(this.found.length - last));
    }

    spacer(rows) {
      const row = document.createElement("tr");
      row.className = "spacer";
      row.setAttribute("aria-hidden", "true");
      const cell = row.insertCell();
      cell.colSpan = this.heads.length;
      cell.style.height = `${rows * this.height}px`;
      return row;
    }

    async download(name) {
      try {
        const text = await unpack(this.box.querySelector("script.file").textContent);
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
        link.download = name;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
        this.status.textContent = `Downloaded ${name} (all ${this.count} rows).`;
      } catch (error) {
        this.status.textContent = `This browser cannot unpack the table; ${name} is in the run folder.`;
      }
    }
  }
  const group = (row) => new URLSearchParams(row.querySelector("th a")?.hash.slice(1)).get("group");
  const tables = [...document.querySelectorAll(".table[data-count]")].map((box) => new DataTable(box));

  const groups = tables.find((table) => table.box.id === "group-table");

  /* Heat maps: arrow keys move, Enter opens. */
  function grids(root) {
    root.querySelectorAll("table.heat").forEach((table) => {
      table.setAttribute("role", "grid");
      table.querySelectorAll("td").forEach((cell) => { cell.tabIndex = -1; });
      const first = table.querySelector("td");
      if (first) first.tabIndex = 0;
    });
  }
  function openCell(cell) {
    const table = cell.closest("table"), row = cell.parentElement.cells[0];
    const column = table.tHead.rows[0].cells[cell.cellIndex].dataset.pick;
    go({ ...table.dataset, over: undefined, [table.dataset.over]: column, group: row.dataset.group });
  }
  document.addEventListener("keydown", (event) => {
    const cell = event.target.closest?.("table.heat td");
    if (!cell) return;
    const row = cell.parentElement;
    const beside = (from, step) => {
      let next = from[step];
      while (next && !next.querySelector("td")) next = next[step];
      return next?.cells[cell.cellIndex];
    };
    const next = {
      ArrowRight: () => cell.nextElementSibling, ArrowLeft: () => cell.cellIndex > 1 && cell.previousElementSibling,
      ArrowDown: () => beside(row, "nextElementSibling"), ArrowUp: () => beside(row, "previousElementSibling"),
      Home: () => row.cells[1], End: () => row.cells[row.cells.length - 1],
    }[event.key];
    if (next) {
      event.preventDefault();
      const to = next();
      if (to) { cell.tabIndex = -1; to.tabIndex = 0; to.focus(); }
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      openCell(cell);
    }
  });

  /* Exact numbers where somebody points, or where the focus is. */
  const tip = $("tip");
  function tell(target) {
    const part = target?.closest?.("[data-tip]");
    tip.hidden = !part;
    if (!part) return;
    const heat = part.closest("table.heat");
    const name = heat ? `${part.parentElement.cells[0].textContent}, ${heat.tHead.rows[0].cells[part.cellIndex].textContent}: ` : "";
    tip.textContent = name + part.dataset.tip;
    const box = part.getBoundingClientRect(), size = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(box.left + box.width / 2 - size.width / 2, innerWidth - size.width - 4))}px`;
    tip.style.top = `${box.top - size.height - 6 > 0 ? box.top - size.height - 6 : box.bottom + 6}px`;
  }
  document.addEventListener("pointerover", (event) => tell(event.target));
  document.addEventListener("focusin", (event) => tell(event.target));
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });

  /* Utterances of a cell: from the page, or from the server of asrfair view. */
  const reader = $("reader");
  let held = null, asked = 0, matching = [], shown = 0;
  const name = (picker, value) => [...($("pick-" + picker)?.options ?? [])].find((o) => o.value === value)?.textContent ?? value;

  async function load() {
    if (held) return held;
    const packed = document.querySelector("script.utterances");
    held = packed ? JSON.parse(await unpack(packed.textContent)) : { by: [], rows: [], counts: [] };
    return held;
  }
  function element(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    return holder.content.firstElementChild;
  }
  async function find(from) {
    const ask = ++asked;
    const kind = $("kind").value, word = $("word").value.trim().toLowerCase();
    const by = state.group === "all" ? "overall" : state.by ?? document.body.dataset.by;
    let found;
    if (served) {
      const query = new URLSearchParams({ engine: picked("engine"), condition: picked("condition"), by, group: state.group, kind, word, from });
      found = await (await fetch("utterances?" + query)).json();
    } else {
      const data = await load(), column = data.by.indexOf(by);
      const engine = picked("engine"), condition = picked("condition");
      const rows = data.rows.filter((row) => row[0] === engine && row[1] === condition && row[2][column] === state.group);
      const items = rows.map((row) => element(row[3])).filter((item) =>
        item.dataset.k.includes(kind) && (!word || [...item.querySelectorAll("del, ins")].some((part) =>
          part.textContent.toLowerCase().split(/\s+/).includes(word))));
      const total = data.counts.find((row) => row[0] === engine && row[1] === condition && row[2] === column && row[3] === state.group);
      found = { html: items.slice(from, from + BATCH).map((item) => item.outerHTML), matching: items.length, held: rows.length, total: total ? total[4] : 0 };
    }
    if (ask !== asked) return;
    const list = $("reader-list");
    if (!from) list.replaceChildren();
    list.append(...found.html.map(element));
    shown = from + found.html.length;
    $("reader-more").hidden = shown >= found.matching;
    const beyond = !served && found.held < found.total ? ` This page holds ${found.held} of ${found.total} with errors; asrfair view shows all.` : "";
    $("reader-status").textContent = `${shown} of ${found.matching} shown.${found.note ? " " + found.note : ""}${beyond}`;
  }
  async function read() {
    if (!state.group) { if (reader.open) reader.close(); return; }
    const parts = [state.group === "all" ? "Everybody" : state.group, $("pick-engine") && name("engine", state.engine), $("pick-condition") && name("condition", state.condition)];
    $("reader-title").textContent = parts.filter(Boolean).join(" · ");
    $("reader-said").textContent = numbers();
    if (!reader.open) reader.showModal();
    reader.scrollTop = 0;
    $("reader-title").focus();
    await find(0);
  }
  function numbers() {
    const at = ["by", "engine", "condition"].map((key) => [key, String(picked(key))]);
    const row = groups.rows.find((one) => group(one) === state.group && at.every(([key, index]) => one.dataset[key] === index));
    return row ? `Words wrong: ${row.dataset.tip ?? "not known"}` : "";
  }
  $("close").addEventListener("click", () => reader.close());
  reader.addEventListener("close", () => { if (state.group) go({ group: "" }); });
  reader.addEventListener("click", (event) => { if (event.target === reader) reader.close(); });
  $("reader-more").addEventListener("click", () => find(shown));
  $("kind").addEventListener("change", () => find(0));
  let waiting = 0;
  $("word").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => find(0), 150); });
  const readAll = $("read");
  if (readAll) { readAll.hidden = false; readAll.addEventListener("click", () => go({ group: "all" })); }

  /* The state in the address, so that what is seen can be sent. */
  function fragment() {
    const told = new URLSearchParams();
    for (const [key, value] of Object.entries(state)) {
      if (value && (value !== start[key] || (state.group && key in start))) told.set(key, value);
    }
    if (document.body.classList.contains("expert")) told.set("statistics", "1");
    return told.toString();
  }
  async function apply() {
    for (const menu of pickers) menu.value = state[menu.dataset.picker];
    await Promise.all([showViews(), ...tables.filter((table) => !table.folded || table.folded.open).map((table) => table.show())]);
    await read();
    document.body.dataset.ready = fragment() || "start";
  }
  async function go(change) {
    for (const [key, value] of Object.entries(change)) {
      if (key === "group" || (value !== undefined && known(key, value))) state[key] = value;
    }
    const now = fragment();
    history.replaceState(null, "", now ? "#" + now : location.pathname + location.search);
    await apply();
  }
  function fromAddress() {
    const text = location.hash.slice(1);
    if (!text.includes("=")) return openTarget(text);
    const told = new URLSearchParams(text);
    statistics(told.get("statistics") === "1");
    const change = { ...start, group: told.get("group") ?? "" };
    for (const key of Object.keys(start)) if (told.has(key)) change[key] = told.get(key);
    return go(change);
  }
  function openTarget(id) {
    const target = id && document.getElementById(decodeURIComponent(id));
    if (target) {
      for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
      target.scrollIntoView();
    }
    document.body.dataset.ready = "start";
  }
  function statistics(on) {
    document.body.classList.toggle("expert", on);
    $("expert").setAttribute("aria-pressed", String(on));
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"][href*="="]');
    const cell = event.target.closest?.("table.heat td[data-tip]");
    if (link) {
      event.preventDefault();
      const told = Object.fromEntries(new URLSearchParams(link.getAttribute("href").slice(1)));
      go({ group: "", ...told });
    } else if (cell) openCell(cell);
  });
  pickers.forEach((menu) => menu.addEventListener("change", () => go({ [menu.dataset.picker]: menu.value, group: "" })));
  $("expert").addEventListener("click", () => { statistics(!document.body.classList.contains("expert")); go({}); });
  $("copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(location.href); $("copy").textContent = "Copied"; }
    catch (error) { $("copy").textContent = "Copy the address"; }
    setTimeout(() => { $("copy").textContent = "Copy link"; }, 2000);
  });
  document.querySelector(".pickers").hidden = false;
  grids(document);
  addEventListener("hashchange", fromAddress);
  fromAddress();
})();

"use strict";
(() => {
  const STEP = 500;

  async function unpack(base64) {
    const bytes = Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function comparator(column, direction) {
    return (a, b) => {
      const x = a.cells[column], y = b.cells[column];
      if (x.dataset.v === undefined) {
        return direction * x.textContent.localeCompare(y.textContent, undefined, { numeric: true });
      }
      if (x.dataset.v === "" || y.dataset.v === "") {
        return (x.dataset.v === "") - (y.dataset.v === "");
      }
      return direction * (Number(x.dataset.v) - Number(y.dataset.v));
    };
  }

  class DataTable {
    constructor(box) {
      this.box = box;
      this.body = box.querySelector("tbody");
      this.rows = [...this.body.rows];
      this.limit = this.rows.length;
      this.count = Number(box.dataset.count);
      this.packed = box.querySelector("script.rows");
      this.status = box.querySelector(".status");
      this.find = box.querySelector("input");
      this.menus = [...box.querySelectorAll("select")];
      this.heads = [...box.querySelectorAll("thead th")];
      this.sorted = null;
      this.heads.forEach((head, column) => this.sortable(head, column));
      this.find.addEventListener("input", () => this.show());
      this.menus.forEach((menu) => menu.addEventListener("change", () => this.show()));
      const csv = box.querySelector("button.csv");
      if (csv) csv.addEventListener("click", () => this.download(csv.dataset.file));
      this.more = box.querySelector(".more button");
      if (this.more) {
        this.more.hidden = false;
        this.more.addEventListener("click", () => { this.limit += STEP; this.show(); });
      }
      box.querySelector(".tools").hidden = false;
      this.say(this.count);
    }

    sortable(head, column) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => this.sort(head, column));
    }

    sort(head, column) {
      const numeric = head.classList.contains("n");
      const now = head.getAttribute("aria-sort");
      const next = now === "none" ? (numeric ? "descending" : "ascending") : now === "ascending" ? "descending" : "ascending";
      this.heads.forEach((other) => other.setAttribute("aria-sort", other === head ? next : "none"));
      this.sorted = comparator(column, next === "ascending" ? 1 : -1);
      this.show();
    }

    async load() {
      if (!this.packed) return;
      const packed = this.packed;
      this.packed = null;
      const holder = document.createElement("template");
      holder.innerHTML = "<table><tbody>" + (await unpack(packed.textContent)) + "</tbody></table>";
      this.rows.push(...holder.content.querySelectorAll("tr"));
    }

    async show() {
      try {
        this.loading = this.loading || this.load();
        await this.loading;
      } catch (error) {
        this.status.textContent = "This browser cannot unpack the other rows; they are in the run folder.";
      }
      const sought = this.find.value.trim().toLowerCase();
      const wanted = this.menus.filter((menu) => menu.value !== "");
      let rows = this.rows.filter((row) =>
        wanted.every((menu) => row.cells[Number(menu.dataset.column)].textContent === menu.value) &&
        row.textContent.toLowerCase().includes(sought));
      if (this.sorted) rows = [...rows].sort(this.sorted);
      this.body.replaceChildren(...rows.slice(0, this.limit));
      this.say(rows.length);
      if (this.more) {
        this.more.hidden = rows.length <= this.limit;
        this.more.previousElementSibling.textContent = `${Math.min(rows.length, this.limit)} of ${rows.length} matching rows are shown.`;
      }
    }

    say(found) {
      this.status.textContent = found === this.count ? `${this.count} rows` : `${found} of ${this.count} rows`;
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

  document.querySelectorAll(".table[data-count]").forEach((box) => new DataTable(box));

  function openTarget() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    target.scrollIntoView();
  }
  addEventListener("hashchange", openTarget);
  openTarget();

  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
})();

// What runs in the browser without waiting for the server: theme, sliders, address bar.
(function () {
  const C = (window.dash_clientside = window.dash_clientside || {});
  const no = () => C.no_update;
  const GAP = 60; // ms between two questions to the server while a handle moves
  const REST = 350; // ms without a move before the simulation starts
  let asked = 0, latest = 0, settled = 0;

  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const place = (driver, value) => {
    const at = (v) => (Math.min(Math.max(v, driver.low), driver.high) - driver.low) / (driver.high - driver.low);
    const from = at(Math.min(value, driver.baseline)), to = at(Math.max(value, driver.baseline));
    // The handle travels inside 8 px margins.
    return { left: `calc(8px + ${from} * (100% - 16px))`, width: `calc(${to - from} * (100% - 16px))` };
  };

  const sorted = (state) => Object.entries(state || {}).sort().map(([k, v]) => [k, v && typeof v === "object" ? sorted(v) : v]);
  const same = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
  // The first of these simulated answers that was asked for these drivers.
  const answerTo = (state, ...answers) => answers.find((one) => one && same(one.asked, state));

  C.workbench = {
    // Theme: the attribute on <html> now, the store for the figures and the next visit.
    theme: function (clicks, stored) {
      if (!clicks) return no();
      const next = (stored || "dark") === "light" ? "dark" : "light";
      document.documentElement.dataset.bsTheme = next;
      return next;
    },

    // One slider row: slider, number field and reset button agree; the fill runs from the baseline to the handle.
    row: function (slider, typed, reset, driver) {
      const id = C.callback_context.triggered_id;
      const part = id ? id.type : "slider";
      let value = slider, problem = "";
      if (part === "reset") value = driver.baseline;
      if (part === "typed") {
        if (typed === null || typed === undefined || typed < driver.low || typed > driver.high) {
          problem = `Allowed: ${driver.low} to ${driver.high} ${driver.unit}. Kept ${slider} ${driver.unit}.`;
        } else value = typed;
      }
      const changed = Math.abs(value - driver.baseline) > 1e-9;
      return [value === slider ? no() : value, value, changed ? "sl chg" : "sl", place(driver, value), problem];
    },

    // All drivers into one state; at most one question per GAP, always ending with the newest.
    collect: async function (values, held, terms) {
      const ids = C.callback_context.inputs_list[0]; // read now: Dash takes the context away at the first await
      const ticket = ++latest;
      const wait = asked + GAP - Date.now();
      if (wait > 0) await sleep(wait);
      if (ticket !== latest) return no();
      asked = Date.now();
      const state = Object.fromEntries(ids.map((item) => [item.id.key, item.value]));
      if (terms && Object.keys(terms).length) state.set = terms;
      return held && Object.keys(held).length ? { ...state, held } : state;
    },

    // The changed parameters without those of one reserve or e-mode: all of it, since the pool takes them together.
    drop: function (clicks, terms) {
      const id = C.callback_context.triggered_id;
      if (!id || !C.callback_context.triggered.some((t) => t.value)) return no();
      const of = (key) => key.slice(0, key.lastIndexOf("."));
      return Object.fromEntries(Object.entries(terms || {}).filter(([key]) => of(key) !== id.key));
    },

    // Two scenarios: the one held is A, the drivers are B. To swap them moves the sliders.
    hold: function (hold, swap, stop, state, held, drivers) {
      const part = C.callback_context.triggered_id;
      const stay = drivers.map(no);
      if (!state || !C.callback_context.triggered.some((t) => t.value)) return [no(), no(), stay, no()];
      const { held: _, ...own } = state;
      if (part === "stop-comparing") return [{}, "off", stay, no()];
      if (part === "swap") return [own, "acts", drivers.map((d) => held[d.key] ?? d.baseline), held.set ?? {}];
      return [own, "acts", stay, no()];
    },

    // The reader's own scenarios, kept in this browser under a name; without one, under what is changed.
    save: function (click, enter, forget, name, state, saved, query) {
      const id = C.callback_context.triggered_id;
      if (!id || !C.callback_context.triggered.some((t) => t.value)) return [no(), no()];
      const kept = { ...(saved || {}) };
      if (id.type === "forget") {
        delete kept[id.key];
        return [kept, no()];
      }
      const { held: _, ...own } = state || {};
      kept[(name || "").trim().slice(0, 40) || query || "baseline"] = own;
      return [kept, ""];
    },

    // The simulation waits until the handle rests.
    settle: async function (state) {
      const ticket = ++settled;
      await sleep(REST);
      return ticket === settled ? state : no();
    },

    // A chip or "reset all" sets every driver.
    preset: function (clicks, reset, values, saved, drivers) {
      const id = C.callback_context.triggered_id;
      if (!id || !C.callback_context.triggered.some((t) => t.value)) return [drivers.map(no), no()];
      const own = id.key?.startsWith("own:");
      const target = (own ? saved?.[id.key.slice(4)] : id.key && values[id.key]) || {};
      return [drivers.map((d) => (d.key in target ? target[d.key] : d.baseline)), target.set ?? {}];
    },

    // The sliders that come closest to the nearest move found, with the parameters as they are.
    reverse: function (clicks, values, drivers) {
      if (!clicks || !values) return [drivers.map(no), no()];
      return [drivers.map((d) => (d.key in values ? values[d.key] : d.baseline)), {}];
    },

    // A click on the curve sets the ETH driver.
    curve: function (click) {
      if (!click || !click.points.length) return no();
      return Math.round(click.points[0].x);
    },

    // The address bar holds the whole state, without a new page. Without any state the page opens with a case of its own.
    address: function (query) {
      if (query === null || query === undefined) return no(); // the page has not answered yet
      history.replaceState(history.state, "", location.pathname + "?" + (query || "eth=0"));
      return query ? "?" + query : "no driver changed";
    },

    // The distribution of these drivers: from all paths where they are in, else from the first ones. An answer to other
    // drivers stays until one of these has come, and is dimmed where that takes long.
    sharpen: function (first, _, state, full) {
      const found = answerTo(state, full, first);
      if (!found) return [no(), no(), no(), no(), "slow"];
      const share = found.paths / found.of;
      return [found.figure, found.note, share < 1 ? { "--at": `${100 * share}%` } : { display: "none" }, found.says, ""];
    },

    full: function (full, first, state) {
      return C.workbench.sharpen(first, null, state, full);
    },

    // A finished run stays on screen when drivers move on, dimmed, and says so.
    stale: function (query, run) {
      if (!run) return ["", ""];
      const same = run.query === (query || "");
      return [same ? "" : "stale", same ? run.note : "for the drivers before"];
    },

    // Another stored block, or another one to compare with, is another address.
    lookBack: function (block, against, click, shown) {
      if (!shown) return no();
      const clicked = C.callback_context.triggered_id === "overview-timeline" && click && click.points.length;
      const to = String(clicked ? click.points[0].customdata[0] : block);
      const query = new URLSearchParams();
      if (to !== shown.newest) query.set("block", to);
      if (to === shown.block) {
        if (String(against) === shown.against) return no();
        query.set("against", against);
      }
      location.assign(location.pathname + (query.size ? "?" + query : ""));
      return no();
    },

    // The menu of a phone opens by its button and closes when a page is chosen.
    menu: function () {
      return C.callback_context.triggered_id === "menu-button";
    },

    share: async function (clicks) {
      if (!clicks) return [no(), no()];
      try { await navigator.clipboard.writeText(location.href); } catch (e) {
        return ["This browser does not let a page copy: take the link from the address bar.", true];
      }
      return ["The link holds the whole scenario.", true];
    },
  };
})();

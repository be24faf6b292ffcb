// The accounts grid: its cells and its search. Column text is never run as script, so the content security policy can
// forbid it.
(function () {
  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const element = (...parts) => window.React.createElement(...parts);
  const short = (address) => address.slice(0, 6) + "…" + address.slice(-4);

  cells.AccountLink = (cell) =>
    cell.value
      ? element("a", { href: "/accounts?address=" + encodeURIComponent(cell.value), className: "mono", title: cell.value }, short(cell.value))
      : null;

  cells.AccountHealth = (cell) =>
    cell.value ? element("span", { className: "hf " + (cell.data.tone || "ok") }, cell.value) : null;

  const GAP = 60; // ms between two questions to the server while somebody types
  let asked = 0, latest = 0;

  const C = (window.dash_clientside = window.dash_clientside || {});
  C.accounts = {
    // The search is a filter of the address column. A first key is asked for at once, of keys in a row the last one.
    search: async function (text, present) {
      const ticket = ++latest;
      const wait = asked + GAP - Date.now();
      if (wait > 0) await new Promise((done) => setTimeout(done, wait));
      if (ticket !== latest) return C.no_update;
      asked = Date.now();
      const { address, ...others } = present || {};
      const wanted = (text || "").trim();
      return wanted ? { ...others, address: { filterType: "text", type: "contains", filter: wanted } } : others;
    },
  };
})();

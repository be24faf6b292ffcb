// Cell renderers of the accounts grid. Column text is never run as script, so the content security policy can forbid it.
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
})();

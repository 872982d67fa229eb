// Loaded before the page is drawn, so that whoever has chosen dark or light never sees the other one first.
(function () {
  "use strict";
  var chosen = null;
  try { chosen = localStorage.getItem("sardonyx-theme"); } catch (error) { /* a browser that keeps nothing */ }
  if (chosen === "dark" || chosen === "light") { document.documentElement.dataset.theme = chosen; }
})();

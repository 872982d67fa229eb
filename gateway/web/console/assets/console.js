// The console's own script. The pages tell all they have to tell without it.
//
// 1. Whatever the console's scripts send bears the header that tells it from a foreign page's request.
// 2. Nothing here makes HTML of what the server has sent: htmx swaps what the server has drawn.
(function () {
  "use strict";

  var MARK = "x-sardonyx-console";
  var THEMES = ["auto", "light", "dark"];

  // fetch() with the header; other scripts of the console use it for the REST routes.
  window.sardonyx = {
    fetch: function (url, options) {
      var given = Object.assign({ credentials: "same-origin" }, options);
      given.headers = new Headers(given.headers || {});
      given.headers.set(MARK, "1");
      return fetch(url, given);
    }
  };

  document.addEventListener("htmx:config:request", function (event) {
    var request = event.detail.ctx && event.detail.ctx.request;
    if (request && request.headers) { request.headers[MARK] = "1"; }
  });

  // A page that nobody looks at asks for nothing.
  document.addEventListener("htmx:before:request", function (event) {
    if (isRefresh(event)) { if (document.hidden) { event.preventDefault(); } }
    else { forget("unanswered"); }
  });

  function isRefresh(event) {
    var source = event.detail.ctx && event.detail.ctx.sourceElement;
    return Boolean(source && source.hasAttribute && source.hasAttribute("data-refresh"));
  }

  function forget(id) {
    var said = document.getElementById(id);
    if (said) { said.remove(); }
  }

  // A promotion may take minutes, and is waited for. Where no answer comes, nobody knows whether it was done; parts that
  // are read again by themselves are silent, since they ask once more.
  document.addEventListener("htmx:error", function (event) {
    var main = document.getElementById("main");
    if (!main || isRefresh(event)) { return; }
    forget("unanswered");
    var notice = document.createElement("div");
    notice.id = "unanswered";
    notice.className = "notice bad";
    notice.tabIndex = -1;
    notice.setAttribute("role", "alert");
    notice.textContent = "The gateway did not answer. What you have asked for may have been done all the same: " +
      "look at the history before you try again.";
    main.prepend(notice);
    notice.focus();
  });

  // What has just happened is read out, and is where the keyboard goes on.
  document.addEventListener("htmx:after:swap", function () {
    var news = document.querySelector("[data-focus]");
    if (news) { news.removeAttribute("data-focus"); news.focus(); }
  });

  function theme() { return document.documentElement.dataset.theme || "auto"; }

  function show(button) {
    button.textContent = "Theme: " + theme();
  }

  function switchTheme(button) {
    var next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
    if (next === "auto") { delete document.documentElement.dataset.theme; }
    else { document.documentElement.dataset.theme = next; }
    try { localStorage.setItem("sardonyx-theme", next); } catch (error) { /* as in theme.js */ }
    show(button);
  }

  function isTyping(target) {
    return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  }

  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    if (button) {
      button.hidden = false;
      show(button);
      button.addEventListener("click", function () { switchTheme(button); });
    }
  });

  document.addEventListener("keydown", function (event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) { return; }
    var search = document.getElementById("search");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  });

  // Browsers give pages the clipboard on https and on this machine only; elsewhere there is the older way.
  function copy(text) {
    if (navigator.clipboard) { return navigator.clipboard.writeText(text); }
    var area = document.createElement("textarea");
    area.value = text;
    area.readOnly = true;
    area.className = "unseen";
    document.body.appendChild(area);
    area.select();
    var isDone = document.execCommand("copy");
    area.remove();
    return isDone ? Promise.resolve() : Promise.reject(new Error("the browser does not copy"));
  }

  // <button data-copy="id">: what stands in the element of that id goes to the clipboard.
  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-copy]");
    if (!button) { return; }
    var source = document.getElementById(button.dataset.copy);
    if (!source) { return; }
    var said = button.textContent;
    copy(source.textContent.trim()).then(function () { button.textContent = "Copied"; }, function () {
      getSelection().selectAllChildren(source);
      button.textContent = "Press Ctrl+C";
    }).then(function () { setTimeout(function () { button.textContent = said; }, 1500); });
  });
})();

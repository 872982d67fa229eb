// Sections as tabs: without this script they stand one below the other. Source: ARIA Authoring Practices, Tabs.

import { make } from "./elements.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

function tabbed(holder) {
  const panels = Array.from(holder.querySelectorAll(":scope > [data-tab]"));
  const list = make("div", { role: "tablist", "aria-labelledby": holder.getAttribute("aria-labelledby") });
  const tabs = panels.map((panel) => {
    const tab = make("button", { type: "button", role: "tab", id: `${panel.id}-tab`, "aria-controls": panel.id }, panel.dataset.tab);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    return tab;
  });
  const choose = (chosen) => {
    tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === chosen));
      tab.tabIndex = place === chosen ? 0 : -1;
      panels[place].hidden = place !== chosen;
    });
  };
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => choose(place));
    tab.addEventListener("keydown", (event) => {
      const ends = { Home: 0, End: tabs.length - 1 };
      const next = ends[event.key] ?? (event.key in STEPS ? (place + STEPS[event.key] + tabs.length) % tabs.length : null);
      if (next === null) return;
      event.preventDefault();
      choose(next);
      tabs[next].focus();
    });
  });
  list.append(...tabs);
  holder.prepend(list);
  choose(0);
}

for (const holder of document.querySelectorAll("[data-tabs]")) tabbed(holder);

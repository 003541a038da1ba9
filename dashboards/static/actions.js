// Sends a form as JSON to the API and shows what came of it. The API takes nothing that a form of another
// site could send: JSON needs a script of this origin.
"use strict";
document.querySelectorAll("form[data-action]").forEach((form) => {
  form.hidden = false;
  const status = form.querySelector("[role=status]");
  const body = () => {
    const given = { matchers: [] };
    for (const field of form.elements) {
      if (!field.name || !field.value) continue;
      if ("json" in field.dataset) given[field.name].push(JSON.parse(field.value));
      else if ("matcher" in field.dataset) given.matchers.push({ name: field.name, value: field.value });
      else given[field.name] = field.value;
    }
    if (!given.matchers.length) delete given.matchers;
    return JSON.stringify(given);
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const method = form.dataset.method || "POST";
    button.disabled = true;
    status.textContent = "Sending …";
    try {
      const answer = await fetch(form.dataset.action, {
        method, headers: { "content-type": "application/json" }, body: method === "POST" ? body() : undefined,
      });
      if (answer.ok) {
        if (form.dataset.then) location.assign(form.dataset.then + encodeURIComponent((await answer.json()).id));
        else location.reload();
        return;
      }
      const text = await answer.json().catch(() => ({}));
      status.textContent = text.error || `The server answered ${answer.status}.`;
    } catch {
      status.textContent = "The server does not answer; try again.";
    }
    button.disabled = false;
  });
});

// Sends the acknowledgement as JSON to the alerts' API and shows what came of it.
"use strict";
document.querySelectorAll("form[data-acknowledge]").forEach((form) => {
  form.hidden = false;
  const status = form.querySelector("[role=status]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const given = new FormData(form);
    const body = { by: given.get("by") };
    if (given.get("note")) body.note = given.get("note");
    button.disabled = true;
    status.textContent = "Sending …";
    try {
      const answer = await fetch(form.action, {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
      });
      if (answer.ok) {
        location.reload();
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

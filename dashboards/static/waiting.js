// Looks every two seconds whether what the page waits for has changed its state, and shows it then.
"use strict";
document.querySelectorAll("[data-waiting]").forEach((part) => {
  const look = async () => {
    try {
      const answer = await fetch(part.dataset.waiting);
      if (answer.ok && (await answer.json()).state !== part.dataset.state) {
        location.reload();
        return;
      }
    } catch {
      // the server is away for a moment: look again
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
});

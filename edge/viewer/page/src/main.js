// One bundle for two pages, which share the room's view: each loads its own part.

if (document.body.classList.contains("review")) await import("./review/main.js");
else await import("./app.js");

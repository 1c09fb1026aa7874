// The form to log in: it comes back to the view that was wanted.

const form = document.querySelector("form");
form.action += location.hash;

// A link from another site comes without the cookie, which such requests never have. This one has it.
const known = await fetch("/api/me").then(({ ok }) => ok, () => false);
if (known && !location.search) location.replace(`/?again${location.hash}`);

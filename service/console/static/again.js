// In the page itself. A browser asks once for each script: a change of its network, such as a container's
// start on the same machine, drops those that wait for a connection, and the page would never begin.
addEventListener("error", function again({ target }) {
  if (target === window) return; // of a script that has been loaded
  removeEventListener("error", again, true);
  const later = () => setTimeout(() => fetch("/", { method: "HEAD" }).then(() => location.reload(), later), 1000);
  later();
}, true);

// In the page itself. A browser asks once for each script: a change of its network, such as a container's
// start on the same machine, drops those that wait for a connection, and the page would never begin.
addEventListener("error", function again({ target }) {
  if (target === window) return; // of a script that has been loaded
  removeEventListener("error", again, true);
  // Where a script stays missing, as some browsers block it, the list can be read meanwhile.
  const pause = performance.getEntriesByType("navigation")[0]?.type === "reload" ? 5000 : 1000;
  const later = () => setTimeout(() => fetch("/", { method: "HEAD", redirect: "manual" }).then(reload, later), pause);
  // The error page of a proxy would stay, so this waits until it is over. A proxy's login, to which it redirects,
  // is loaded.
  const reload = ({ status }) => (status < 500 ? location.reload() : later());
  later();
}, true);

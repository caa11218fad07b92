// Runs before the first paint: a theme chosen by hand wins over the system's. Not a module, since those run later.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be forbidden; then the system's theme stands.
}

// Runs before the first paint, so that a chosen theme or language never flashes in late. A classic script on purpose.
(() => {
  const root = document.documentElement;
  const stored = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // storage can be forbidden; the defaults are fine then
    }
  };
  const theme = stored("tollgate_theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const lang = stored("tollgate_lang");
  const chinese = lang ? lang === "zh" : /^zh\b/i.test(navigator.language || "");
  root.lang = chinese ? "zh-CN" : "en";
})();

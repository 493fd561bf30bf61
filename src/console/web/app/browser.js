/**
 * A browser's name and system out of how it describes itself.
 *
 * Every browser claims to be several others as well; the order of the questions sorts that out. The text is a stranger's
 * and may say anything: what is not recognised is null, and is shown as it came.
 */
const BROWSERS = [
  [/\bEdg(?:e|A|iOS)?\/(\d+)/, "Edge"],
  [/\bOPR\/(\d+)/, "Opera"],
  [/\b(?:Firefox|FxiOS)\/(\d+)/, "Firefox"],
  [/\b(?:HeadlessChrome|Chrome|CriOS|Chromium)\/(\d+)/, "Chrome"],
  [/\bVersion\/(\d+)[\d.]* (?:Mobile\/\w+ )?Safari\//, "Safari"],
  [/\bcurl\/(\d+)/, "curl"],
];
const SYSTEMS = [
  [/\b(?:iPhone|iPod)\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bAndroid\b/, "Android"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b|\bMacintosh\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
];

/** @param {string} agent @returns {{browser: string|null, system: string|null}} */
export function browserOf(agent) {
  const known = BROWSERS.find(([pattern]) => pattern.test(agent));
  return {
    browser: known ? `${known[1]} ${known[0].exec(agent)[1]}` : null,
    system: SYSTEMS.find(([pattern]) => pattern.test(agent))?.[1] ?? null,
  };
}

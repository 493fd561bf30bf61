/**
 * The server's refusals and field faults, which are English sentences, in Chinese. `{…}` stands for what is filled in.
 * What is not in the list is shown as the server says it; a test looks for each sentence in the server's sources.
 */
export const REFUSALS = [
  ["this code cannot be redeemed", "此兑换码无效、已被使用或已过期"],
  ["this code has been redeemed: its money is in the ledger", "此兑换码已被兑换，金额已入账"],
  ["there is no such code", "没有这个兑换码"],
  ["looks like TG-01ABC-DEFGH-JKMNP-QRSTV", "格式应为 TG-01ABC-DEFGH-JKMNP-QRSTV"],
  ["These codes were made before.", "这批兑换码此前已生成"],
  ["is not your password", "与当前密码不符"],
  ["has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters", "长度须为 {CHARACTERS_MIN} 至 {CHARACTERS_MAX} 个字符"],
  ["the login {login} is taken", "登录名 {login} 已被占用"],
  ["the account name {name} is taken", "账户名 {name} 已被占用"],
  ["there is no such account", "没有这个账户"],
  ["a name has 1 to {NAME_CHARS_MAX} characters", "名称须为 1 至 {NAME_CHARS_MAX} 个字符"],
  ["{name:?} is not a name: use letters, digits and . _ - @ +, beginning with a letter or a digit", "{name} 不是有效名称：请用字母、数字和 . _ - @ +，以字母或数字开头"],
  ["there is no such person", "没有这个用户"],
  ["there is no such key", "没有这个密钥"],
  ["there is no such invitation", "没有这个邀请"],
  ["there is no such invitation that is still open", "没有仍然有效的这个邀请"],
  ["this invitation cannot be used any more: ask for a new one", "此邀请链接已失效，请索取新的链接"],
  ["this person may not sign in any more", "此用户已不能登录"],
  ["this is the last active operator: make another one first", "这是最后一位可用的管理员，请先设置另一位"],
  ["a customer needs an account", "客户必须属于一个账户"],
  ["use 1 to {chars_max} characters", "长度须为 1 至 {chars_max} 个字符"],
  ["use no control characters", "不能含控制字符"],
  ["is not a decimal number such as \"12.5\"", "须为小数，如 12.5"],
  ["has more than {0} decimals", "小数位数不能超过 {0} 位"],
  ["is too large", "数值过大"],
  ["must not be negative", "不能为负数"],
  ["must not be zero", "不能为零"],
  ["must be above zero", "必须大于零"],
  ["must be above zero; only kind adjust takes money away", "必须大于零，只有“调整”可以扣款"],
  ["is from 1 to {COUNT_MAX}", "须在 1 至 {COUNT_MAX} 之间"],
  ["is above zero and at most 90d", "须大于零且不超过 90 天"],
  ["is not in the future", "必须是将来的时间"],
  ["use a whole number with a unit, such as 30m, 24h or 30d", "请用整数加单位，如 30m、24h、30d"],
  ["is no group of the configuration", "配置中没有这个分组"],
  ["there is no model {name}", "没有模型 {name}"],
  ["has more than {ITEMS_MAX} items", "不能超过 {ITEMS_MAX} 项"],
  ["use a whole number of at least 1, or null for no limit", "须为不小于 1 的整数，留空表示不限制"],
  ["use an address or a range such as 203.0.113.0/24", "请填写 IP 地址或网段，如 203.0.113.0/24"],
];

const HOLE = /\\\{(\w+)(?::\\\?)?\\\}/g;
const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
// The server begins a sentence with a capital and ends it with a point.
const patterns = REFUSALS.map(([english, chinese]) => [
  new RegExp(`^${escaped(english.replace(/\.$/, "")).replace(HOLE, "(.{1,300}?)")}\\.?$`, "i"),
  [...english.matchAll(/\{(\w+)(?::\?)?\}/g)].map((hole) => hole[1]),
  chinese,
]);

/**
 * A refusal in Chinese, or null. A whole refusal may begin with its field (`password: has 12 to …`), which is kept.
 *
 * @param {string} words @returns {string|null}
 */
export function inChinese(words) {
  const [, field = "", clause] = /^([a-z_.]{1,40}: )?([^]*)$/.exec(words);
  for (const whole of [clause, words]) {
    for (const [pattern, names, chinese] of patterns) {
      const found = pattern.exec(whole);
      if (!found) continue;
      const text = names.reduce((said, name, i) => said.replace(`{${name}}`, () => found[i + 1]), chinese);
      return field && whole === clause ? `${field.replace(": ", "：")}${text}` : text;
    }
  }
  return null;
}

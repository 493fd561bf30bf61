// Refusals in Chinese: the right words, the server's own where there are none, and no sentence that it does not say.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { REFUSALS, inChinese } from "../../src/console/web/app/i18n/refusals.js";

const SOURCES = new URL("../../src/", import.meta.url);
const rust = readdirSync(SOURCES, { recursive: true })
  .filter((path) => path.endsWith(".rs"))
  .map((path) => readFileSync(new URL(path, SOURCES), "utf8"))
  .join("\n");

test("the server says each of them", () => {
  for (const [english] of REFUSALS) assert.ok(rust.includes(`"${english.replaceAll('"', '\\"')}"`), english);
});

test("every one of them is Chinese and fills in the same", () => {
  const holes = (text) => [...text.matchAll(/\{(\w+)(?::\?)?\}/g)].map((hole) => hole[1]);
  for (const [english, chinese] of REFUSALS) {
    assert.match(chinese, /[\u3400-\u9fff]/);
    assert.deepEqual(holes(chinese), holes(english));
  }
});

test("a sentence, a field's fault, and both together", () => {
  assert.equal(inChinese("This code cannot be redeemed."), "此兑换码无效、已被使用或已过期");
  assert.equal(inChinese("The login ada is taken."), "登录名 ada 已被占用");
  assert.equal(inChinese("The login $& is taken."), "登录名 $& 已被占用");
  assert.equal(inChinese('login: "a b" is not a name: use letters, digits and . _ - @ +, beginning with a letter or a digit'), 'login："a b" 不是有效名称：请用字母、数字和 . _ - @ +，以字母或数字开头');
  assert.equal(inChinese("has 12 to 256 characters"), "长度须为 12 至 256 个字符");
  assert.equal(inChinese("password.new: has 12 to 256 characters"), "password.new：长度须为 12 至 256 个字符");
});

test("what nobody translated stays as it is", () => {
  for (const words of ["", "Something else.", "There is no such thing as this", "name: <b>", "x".repeat(100_000)]) assert.equal(inChinese(words), null);
});

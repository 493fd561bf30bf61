// Keys that are pasted where they do not belong.
import assert from "node:assert/strict";
import { test } from "node:test";

import { withoutSecrets } from "../../src/console/web/app/secrets.js";

const KEY = `sk-tg-abcd${"x".repeat(30)}wxyz`;

test("a key is shown as lists show it", () => {
  assert.equal(withoutSecrets(KEY), "sk-tg-abcd…wxyz");
  assert.equal(withoutSecrets(` ${KEY}\n${KEY}`), " sk-tg-abcd…wxyz\nsk-tg-abcd…wxyz");
  assert.equal(withoutSecrets(KEY.slice(0, 40)), "sk-tg-abcd");
  assert.equal(withoutSecrets("sk-proj-0123456789_abcdefghijkl"), "sk-proj-01");
  assert.equal(withoutSecrets(`tgadm_${"a".repeat(38)}`), "tgadm_aaaa");
});

test("names, ids and beginnings stay as they are", () => {
  for (const text of ["laptop", "key_0198c2f4a1b27d3e8f90", "sk-tg-abcd", "sk-tg-abcd…wxyz", "desk-of-somebody-or-other", "req_0198c2f4a1b27d3e", ""]) {
    assert.equal(withoutSecrets(text), text);
  }
});

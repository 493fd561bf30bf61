// Decimal arithmetic, bills and balances, exact to the last digit.
import assert from "node:assert/strict";
import { test } from "node:test";

import { balanceOverTime, provedBill, redeemCode } from "../../src/console/web/app/books.js";
import { add, ceiling, compare, fixed, multiply, parse, ratio, subtract, sum } from "../../src/console/web/app/money.js";

test("decimals are read, and nothing else is", () => {
  for (const [given, shown] of [["0", "0"], ["-0.10", "-0.1"], ["007", "7"], ["0.000000001", "0.000000001"], ["-0", "0"]]) {
    assert.equal(add(given, "0"), shown);
  }
  for (const given of ["", "-", ".5", "5.", "1e3", "+1", " 1", "1,5", "NaN", "0x1", null, "9".repeat(65)]) {
    assert.equal(parse(given), null, String(given));
  }
});

test("sums are exact where floats are not", () => {
  assert.equal(sum(["0.1", "0.2"]), "0.3");
  assert.equal(sum(["9007199254740993", "0.000000001"]), "9007199254740993.000000001");
  assert.equal(sum([]), "0");
  assert.equal(add("1.5", "-2.25"), "-0.75");
  assert.equal(subtract("1", "0.9"), "0.1");
  assert.equal(multiply("-0.15", "1.25"), "-0.1875");
  assert.equal(compare("1.0", "1"), 0);
  assert.equal(compare("-1", "-0.999"), -1);
  assert.equal(add("1", "x"), null);
  assert.equal(ratio("1", "3"), 0.333333);
  assert.equal(ratio("1", "0"), null);
});

test("a shown amount is rounded half away from zero", () => {
  assert.deepEqual(["0.005", "-0.005", "0.004999999", "12", "-0.0049"].map((text) => fixed(text, 2)), ["0.01", "-0.01", "0.00", "12.00", "0.00"]);
});

test("a charge is rounded up once, and a whole nano stays", () => {
  assert.equal(ceiling("0.0000000001", 9), "0.000000001");
  assert.equal(ceiling("0.0000000010", 9), "0.000000001");
  assert.equal(ceiling("-0.0000000011", 9), "-0.000000001");
  assert.equal(ceiling("1.5", 9), "1.5");
});

test("a bill is proved from its lines, and a wrong one is not", () => {
  const bill = { markup: "1.25", lines: [{ amount: "0.0000150003" }, { amount: "0.00024" }], list_total: "0.0002550003", total: "0.000318751" };
  assert.deepEqual(provedBill(bill, "0.000318751"), { sum: "0.0002550003", proved: true });
  assert.equal(provedBill(bill, "0.00031875").proved, false);
  assert.equal(provedBill({ ...bill, markup: "1.26" }, bill.total).proved, false);
  assert.equal(provedBill({ ...bill, lines: [bill.lines[0]] }, bill.total).proved, false);
  assert.deepEqual(provedBill({ ...bill, lines: [{ amount: "?" }] }, bill.total), { sum: null, proved: false });
});

test("a balance is reckoned backwards, exactly", () => {
  const at = ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"];
  const entries = [
    { amount: "-0.5", at: "2026-11-21T10:00:00Z" },
    { amount: "10", at: "2026-11-22T00:00:00Z" },
    { amount: "99", at: "2026-11-01T00:00:00Z" },
  ];
  assert.deepEqual(balanceOverTime("19.1", at, ["0.1", "0.2", "0.3"], entries), ["10.2", "10.1", "9.4", "19.1"]);
  assert.deepEqual(balanceOverTime("5", [], [], []), ["5"]);
  assert.deepEqual(balanceOverTime("5", at, ["0", "x", "0"], []), []);
});

test("a redeem code is understood however it is typed", () => {
  const code = "TG-01234-56789-ABCDE-FGHJK";
  for (const typed of [code, "tg 01234 56789 abcde fghjk", "0123456789abcdefghjk", "TG–O1234—56789.ABCDE FGHJK\n", "tg-oi234-56789-abcde-fghjk"]) {
    assert.equal(redeemCode(typed), code, typed);
  }
  assert.equal(redeemCode("TGTGA-BCDEF-GHJKM-NPQRS"), "TG-TGTGA-BCDEF-GHJKM-NPQRS");
  for (const typed of ["", "TG-01234", `${code}0`, "TG-U1234-56789-ABCDE-FGHJK"]) assert.equal(redeemCode(typed), null, typed);
});

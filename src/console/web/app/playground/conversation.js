/**
 * A conversation: what was asked, and what each of the one or two models beside each other answered.
 *
 * Each model sees its own answers only, as if it were alone; both see the same questions.
 */

/** @typedef {{question: string, runs: object[]}} Turn */

/**
 * The messages for one side, up to and with the turn `upTo`. A question whose answer never came is left out: models expect
 * question and answer in turns, and what was refused once would only be refused again.
 */
export function history(turns, side, upTo = turns.length - 1) {
  return turns.slice(0, upTo + 1).flatMap((turn, index) => {
    const question = { role: "user", content: turn.question };
    const said = turn.runs[side]?.answer.text ?? "";
    if (index === upTo) return [question];
    return said === "" ? [] : [question, { role: "assistant", content: said }];
  });
}

/** Whether any call of the last turn still runs. Only the last turn's can. */
export function running(turns) {
  return (turns.at(-1)?.runs ?? []).some((run) => run.state === "waiting" || run.state === "running");
}

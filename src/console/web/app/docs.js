// What the public pages can do better with a script. All of them work without it: nothing here makes content.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const YEAR_S = 31536000;

// The clipboard API is missing on plain HTTP, where the old command still works.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

const said = document.createElement("p");
said.className = "visually-hidden";
said.setAttribute("role", "status");
document.body.append(said);

function copies(selector, textOf) {
  for (const button of all(selector)) {
    button.hidden = false;
    let timer = 0;
    button.addEventListener("click", async () => {
      if (!(await copyText(textOf(button)))) return;
      said.textContent = document.body.dataset.copied;
      button.classList.add("copied");
      clearTimeout(timer);
      timer = setTimeout(() => {
        button.classList.remove("copied");
        said.textContent = "";
      }, 1600);
    });
  }
}

const shownCode = (sample) => all("pre", sample).find((pre) => pre.checkVisibility());
copies(".copy-code", (button) => shownCode(button.closest(".sample"))?.textContent ?? "");
copies(".copy-value", (button) => button.parentElement.querySelector("input").value);
copies(".copy-text", (button) => button.dataset.text);
for (const input of all(".copy-field input")) input.addEventListener("focus", () => input.select());

// One choice of language for all samples, here and next time.
for (const input of all(".sample input[type=radio]")) {
  input.addEventListener("change", () => {
    const top = input.getBoundingClientRect().top;
    for (const other of all(".sample input[type=radio]")) if (other.value === input.value) other.checked = true;
    document.cookie = `tollgate_sample=${input.value}; Path=/; Max-Age=${YEAR_S}; SameSite=Lax`;
    // Samples above may have grown: what was clicked stays under the pointer.
    scrollBy(0, input.getBoundingClientRect().top - top);
  });
}

// A key that is typed goes into the samples of this tab and nowhere else.
const own = document.getElementById("own-key");
if (own) {
  own.closest("[hidden]").hidden = false;
  const places = all(".code-key");
  const placeholder = places[0]?.textContent ?? "";
  own.addEventListener("input", () => {
    // What a key is made of: anything else could end the string that it stands in.
    const key = own.value.trim().replace(/[^\w-]/g, "");
    for (const place of places) place.textContent = key || placeholder;
  });
}

// The list of models answers while one types.
const filter = document.querySelector("[data-filter=models]");
if (filter) {
  for (const button of all("[data-without-script]")) button.hidden = true;
  const none = document.querySelector(".model-none");
  const apply = () => {
    const wanted = filter.value.trim().toLowerCase();
    let found = 0;
    for (const model of all(".model")) {
      model.hidden = !model.dataset.names.toLowerCase().includes(wanted);
      if (!model.hidden) found += 1;
    }
    none.hidden = found > 0;
  };
  filter.addEventListener("input", apply);
  // The server has filtered by what is in the address; clearing the field must bring the others back.
  if (filter.value) filter.addEventListener("search", () => filter.value || filter.form.requestSubmit());
}

// Where one is on the page.
const links = new Map(all(".toc-item").map((link) => [link.hash.slice(1), link]));
if (links.size > 0) {
  const sections = [...links.keys()].map((id) => document.getElementById(id));
  const mark = () => {
    const passed = sections.filter((section) => section.getBoundingClientRect().top < 140);
    const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const here = end ? sections.at(-1) : passed.at(-1);
    for (const [id, link] of links) {
      const on = id === here?.id;
      link.classList.toggle("nav-here", on);
      if (on) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    }
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      mark();
    });
  }, { passive: true });
  mark();
}

// A choice made by a link: the application reads its own storage, and a reload must not choose again.
const address = new URL(location.href);
for (const name of ["lang", "theme"]) {
  const value = address.searchParams.get(name);
  if (value === null) continue;
  try {
    localStorage.setItem(`tollgate_${name}`, value);
  } catch {
    // Storage can be forbidden; the cookie is set all the same.
  }
  address.searchParams.delete(name);
}
if (address.href !== location.href) history.replaceState(null, "", address);

// A menu closes when one looks elsewhere.
addEventListener("click", (event) => {
  for (const menu of all("details.pop[open]")) if (!menu.contains(event.target)) menu.open = false;
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of all("details.pop[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

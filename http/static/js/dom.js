// Elements by name; text only ever as text, so that nothing from the service is taken for markup.

export const $ = (id) => document.getElementById(id);

/** An element; properties that start with "aria-", "data-" or are "role" or "for" become attributes. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(aria-|data-|role$|for$|scope$|colspan$)/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Change the text only when it is another one: a screen reader hears, and a selection loses, nothing for nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function tone(node, name) {
  if (node.dataset.tone !== name) node.dataset.tone = name;
}

export const badge = (text, name) => el("span", { className: "badge", "data-tone": name }, text);

/** Show a dialog; resolves to what it is closed with, which is nothing where the person thinks better of it. */
export function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

for (const button of document.querySelectorAll("dialog [data-cancel]")) button.addEventListener("click", () => button.closest("dialog").close(""));

const toastNode = $("toast");
let toastEnds = 0;

/** One sentence in the corner, read out once. */
export function toast(text, name = "info") {
  tone(toastNode, name);
  toastNode.textContent = text;
  toastNode.classList.add("shown");
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => toastNode.classList.remove("shown"), 6000);
}

// What keys do; the sheet of keys in the page says the same.

const TOOLS = /** @type {Record<string, string>} */ ({
  v: "select", h: "hand", p: "pen", m: "highlighter", e: "eraser", l: "line", a: "arrow", r: "rectangle", o: "ellipse", t: "text", n: "note", k: "laser",
});
const PLAIN = /** @type {Record<string, string>} */ ({
  "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", 0: "zoom-reset", "?": "help", i: "image", delete: "delete", backspace: "delete",
  enter: "edit-words", escape: "let-go", "[": "thinner", "]": "broader",
});
const WITH_CONTROL = /** @type {Record<string, string>} */ ({ z: "undo", y: "redo", a: "select-all", d: "duplicate", s: "save-json", o: "open-file" });

/**
 * What a key stands for.
 * @param {{key: string, code: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean}} event
 * @returns {{tool?: string, command?: string, colour?: number} | null}
 */
export function meaningOf({ key, code, ctrlKey, metaKey, altKey, shiftKey }) {
  const pressed = key.toLowerCase();
  if (altKey) return null;
  if (ctrlKey || metaKey) {
    if (pressed === "z" && shiftKey) return { command: "redo" };
    const command = WITH_CONTROL[pressed];
    return command && !(shiftKey && pressed !== "z") ? { command } : null;
  }
  if (shiftKey && code === "Digit1") return { command: "fit" };
  if (shiftKey && code === "Digit2") return { command: "fit-selection" };
  if (shiftKey && pressed === "p") return { command: "proof" };
  if (/^[1-9]$/.test(key)) return { colour: Number(key) - 1 };
  const command = PLAIN[pressed];
  if (command) return { command };
  const tool = shiftKey ? undefined : TOOLS[pressed];
  return tool ? { tool } : null;
}

/** @param {EventTarget | null} target whether keys are letters there, or belong to what is open */
export const isTyping = (target) => target instanceof Element && target.closest("input, textarea, select, dialog, [popover]") !== null;

// What hands do on a map: drag, pinch, wheel, tap, point. Knows nothing of what is drawn.

/** A pointer that moves less is a tap. */
const TAP_PX = 7;
const WHEEL_PX_A_DOUBLING = 320;
const LINE_PX = 18;

/** @typedef {{x: number, y: number}} Point in CSS pixels from the element's corner */
/**
 * @typedef {object} Listener
 * @property {(dx: number, dy: number) => void} onPan
 * @property {(factor: number, at: Point) => boolean} onZoom whether there was anything to zoom
 * @property {(at: Point) => void} onTap
 * @property {(at: Point | null) => void} onPoint where a mouse is; null when it left
 */

/**
 * @param {HTMLElement} element
 * @param {Listener} listener
 */
export function listen(element, { onPan, onZoom, onTap, onPoint }) {
  const pointers = /** @type {Map<number, Point>} */ (new Map());
  /** How far the gesture has moved in all; a second finger makes it no tap. */
  let moved = 0;
  const at = (/** @type {MouseEvent} */ event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (pointers.size === 0) moved = 0;
    pointers.set(event.pointerId, at(event));
    if (pointers.size > 1) moved = Infinity;
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const now = at(event);
    if (before === undefined) {
      if (event.pointerType === "mouse") onPoint(now);
      return;
    }
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    pointers.set(event.pointerId, now);
    moved += Math.hypot(now.x - before.x, now.y - before.y);
    const other = others[0];
    if (other !== undefined) {
      const [was, is] = [middle(before, other), middle(now, other)];
      onPan(is.x - was.x, is.y - was.y);
      onZoom(Math.hypot(now.x - other.x, now.y - other.y) / Math.max(Math.hypot(before.x - other.x, before.y - other.y), 1), is);
    } else if (moved > TAP_PX) onPan(now.x - before.x, now.y - before.y);
  });
  element.addEventListener("pointerup", (event) => {
    if (pointers.delete(event.pointerId) && pointers.size === 0 && moved <= TAP_PX) onTap(at(event));
  });
  element.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  element.addEventListener("pointerleave", () => onPoint(null));
  element.addEventListener(
    "wheel",
    (event) => {
      const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1);
      // At its smallest the map lets the page scroll on.
      if (onZoom(2 ** (-pixels / WHEEL_PX_A_DOUBLING), at(event))) event.preventDefault();
    },
    { passive: false },
  );
}

/**
 * @param {Point} a
 * @param {Point} b
 * @returns {Point}
 */
function middle(a, b) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

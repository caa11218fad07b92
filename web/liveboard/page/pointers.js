// Mouse, touch, pen and wheel on the board: the view is moved here, and the tool in use hears of the rest.

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("./desk.js").Spot} Spot */
/** @typedef {import("./desk.js").Tool} Tool */

const STEP_PX = 60;
const LINE_PX = 33;
const ERASER_END = 32;
/** So long after a pen was near, a touch is a palm or moves the board. */
const PEN_STAYS_MS = 60_000;
const MIDDLE_BUTTON = 1;

export class Pointers {
  #canvas;
  #desk;
  #toolOf;
  #viewChanged;
  /** @type {Map<number, {left: number, top: number}>} pointers that are down */
  #down = new Map();
  /** The tool that this press works with; null when it moves the view. @type {Tool | null} */
  #tool = null;
  #drawing = -1;
  #isPanning = false;
  #isSpace = false;
  #penAt = -Infinity;
  /** Where the pointer was last, on the board. */
  place = { x: 0, y: 0 };

  /**
   * @param {HTMLCanvasElement} canvas @param {Desk} desk
   * @param {(name: string) => Tool} toolOf @param {(isByHand: boolean) => void} viewChanged
   */
  constructor(canvas, desk, toolOf, viewChanged) {
    this.#canvas = canvas;
    this.#desk = desk;
    this.#toolOf = toolOf;
    this.#viewChanged = viewChanged;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#lift(event, true));
    canvas.addEventListener("pointercancel", (event) => this.#lift(event, false));
    canvas.addEventListener("dblclick", (event) => this.#toolOf(desk.tool).twice?.(this.#spotOf(event)));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keydown", (event) => this.#space(event, true));
    addEventListener("keyup", (event) => this.#space(event, false));
  }

  /** Whether a tool is at work: its stroke must not be cut by what happens elsewhere. */
  get isBusy() {
    return this.#tool !== null;
  }

  /** What is in the hand is undone. */
  cancel() {
    this.#tool?.cancel();
    this.#end();
  }

  /** What is in the hand is done, as if it were lifted: the page goes. */
  finish() {
    const tool = this.#tool;
    this.#end();
    const [left, top] = this.#desk.view.toCanvas(this.place.x, this.place.y);
    tool?.lift({ ...this.place, left, top, pressure: 0.5, time: performance.now(), isPen: false, isMany: false, isStraight: false, isCopy: false });
  }

  get #mayUseTool() {
    const { tool, board, isWatching } = this.#desk;
    return !isWatching && (board.role !== 0 || tool === "laser");
  }

  #end() {
    this.#tool = null;
    this.#drawing = -1;
    this.#desk.isDown = false;
  }

  /** @param {PointerEvent} event */
  #press(event) {
    const isPen = event.pointerType === "pen";
    if (isPen) this.#penAt = performance.now();
    // A palm on the screen while the pen writes is nothing at all.
    if (this.#tool && this.#isPenDown && event.pointerType === "touch") return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#canvas.focus({ preventScroll: true });
    this.#down.set(event.pointerId, this.#at(event));
    const isPalm = event.pointerType === "touch" && performance.now() - this.#penAt < PEN_STAYS_MS;
    if (this.#down.size > 1) {
      // A second finger: it was no stroke.
      this.cancel();
      this.#isPanning = true;
    } else if (event.button === MIDDLE_BUTTON || this.#isSpace || isPalm || !this.#mayUseTool) {
      this.#isPanning = true;
      this.#canvas.dataset.grabbing = "";
    } else if (event.button === 0 || event.buttons & ERASER_END) {
      this.#isPenDown = isPen;
      this.#tool = this.#toolOf(event.buttons & ERASER_END ? "eraser" : this.#desk.tool);
      this.#drawing = event.pointerId;
      this.#desk.isDown = true;
      this.#tool.press(this.#spotOf(event));
    }
    this.#desk.draw();
  }
  #isPenDown = false;

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#down.get(event.pointerId);
    const { left, top } = this.#at(event);
    const [x, y] = this.#desk.view.toBoard(left, top);
    this.place = { x, y };
    if (before && this.#isPanning) this.#drag(event, before);
    else if (this.#tool && event.pointerId === this.#drawing) {
      const events = event.getCoalescedEvents?.() ?? [];
      this.#tool.drag((events.length ? events : [event]).map((each) => this.#spotOf(each)));
    } else if (!this.#tool) {
      const tool = this.#toolOf(this.#desk.tool);
      tool.hover?.(this.#spotOf(event));
      this.#canvas.dataset.cursor = tool.cursor;
    }
    if (before) this.#down.set(event.pointerId, { left, top });
    this.#desk.dispatchEvent(new Event("moved"));
  }

  /** @param {PointerEvent} event @param {boolean} isDone */
  #lift(event, isDone) {
    this.#down.delete(event.pointerId);
    if (event.pointerId === this.#drawing) {
      const tool = this.#tool;
      this.#end();
      if (isDone) tool?.lift(this.#spotOf(event));
      else tool?.cancel();
    }
    if (this.#down.size) return;
    this.#isPanning = false;
    delete this.#canvas.dataset.grabbing;
    this.#desk.dispatchEvent(new Event("moved"));
    this.#desk.draw();
  }

  /** One finger moves the board, two also zoom it. @param {PointerEvent} event @param {{left: number, top: number}} before */
  #drag(event, before) {
    const { view } = this.#desk;
    const now = this.#at(event);
    const other = [...this.#down].find(([id]) => id !== event.pointerId)?.[1];
    if (!other) view.pan(now.left - before.left, now.top - before.top);
    else {
      const far = (/** @type {{left: number, top: number}} */ one) => Math.hypot(one.left - other.left, one.top - other.top) || 1;
      view.pan((now.left - before.left) / 2, (now.top - before.top) / 2);
      view.zoomBy(far(now) / far(before), (now.left + other.left) / 2, (now.top + other.top) / 2);
    }
    this.#viewChanged(true);
  }

  /** Two fingers on a touchpad, or a wheel: moves; with Control, or by pinching there: zooms. @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE_PX;
    const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
    const { view } = this.#desk;
    if (event.ctrlKey || event.metaKey) view.zoomBy(Math.exp(-Math.min(Math.max(dy, -60), 60) * 0.006), event.offsetX, event.offsetY);
    else if (event.shiftKey && dx === 0) view.pan(-dy, 0);
    else view.pan(-dx, -dy);
    this.#viewChanged(true);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const steps = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [STEP_PX, 0],
      ArrowRight: [-STEP_PX, 0],
      ArrowUp: [0, STEP_PX],
      ArrowDown: [0, -STEP_PX],
    });
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (this.#desk.selected.size) this.#nudge(step, event.shiftKey ? 10 : 1);
    else {
      this.#desk.view.pan(...step);
      this.#viewChanged(true);
    }
  }

  /** Moves what is selected by pixels. @param {[number, number]} step @param {number} pixels */
  #nudge([x, y], pixels) {
    const by = Math.round(8 * pixels);
    this.#desk.change(this.#desk.selected, (targets) => ({ kind: "move", targets, dx: -Math.sign(x) * by, dy: -Math.sign(y) * by }));
  }

  /** @param {KeyboardEvent} event @param {boolean} isDown */
  #space(event, isDown) {
    if (event.key !== " " || (isDown && event.target !== this.#canvas && event.target !== document.body)) return;
    if (isDown) event.preventDefault();
    this.#isSpace = isDown;
    if (isDown) this.#canvas.dataset.space = "";
    else delete this.#canvas.dataset.space;
  }

  /** Where on the canvas: browsers differ in the offsets of coalesced events. @param {PointerEvent | MouseEvent} event */
  #at({ clientX, clientY }) {
    const box = this.#canvas.getBoundingClientRect();
    return { left: clientX - box.left, top: clientY - box.top };
  }

  /** @param {PointerEvent | MouseEvent} event @returns {Spot} */
  #spotOf(event) {
    const { left, top } = this.#at(event);
    const [x, y] = this.#desk.view.toBoard(left, top);
    const isPen = event instanceof PointerEvent && event.pointerType === "pen";
    const pressure = isPen ? event.pressure : 0.5;
    const keys = { isMany: event.shiftKey, isStraight: event.shiftKey, isCopy: event.altKey };
    return { x, y, left, top, pressure, time: event.timeStamp, isPen, ...keys };
  }
}

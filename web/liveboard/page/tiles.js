// The board as tiles: drawn once by the worker, copied to the screen as often as it takes. Moving the view draws nothing.

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("./scene.js").Change} Change */
/** @typedef {import("./view.js").View} View */
/**
 * `since`: marks on top of all that came while the worker draws it; `isDue`: what it shows is not the board any more.
 * @typedef {{image: ImageBitmap | OffscreenCanvas | null, isDue: boolean, job: number, since: Shown[], usedAt: number}} Tile
 */
/** Where a tile goes on the canvas. @typedef {{name: string, left: number, top: number}} Place */
/** Tiles of one scale, by "column,row". @typedef {{scale: number, tiles: Map<string, Tile>}} Layer */

const SIDE = 512;
const LAYERS_MAX = 3;
const TILES_MAX = 160;
const JOBS_MAX = 2;
/** So long the zoom rests before tiles are drawn for it. */
const SETTLE_MS = 90;
/** The scale of the layer beneath, which is there when one zooms out fast. */
const BELOW = 1 / 4;

export class Tiles {
  #renderer;
  #painter;
  #lookUp;
  #changed;
  /** The latest used first. @type {Layer[]} */
  #layers = [];
  #jobs = 0;
  #frame = 0;
  #zoomedAt = -Infinity;
  #timer = 0;
  /** Whether the last frame showed all there is, as it is. */
  isWhole = false;

  /**
   * @param {import("./renderer.js").Renderer} renderer has to be told of marks before this is
   * @param {import("./painter.js").Painter} painter for what lies on top of a finished tile
   * @param {(key: string) => Shown | undefined} lookUp
   * @param {() => void} changed tiles have come: draw again
   */
  constructor(renderer, painter, lookUp, changed) {
    this.#renderer = renderer;
    this.#painter = painter;
    this.#lookUp = lookUp;
    this.#changed = changed;
  }

  /** All is to be drawn anew. */
  spoilAll() {
    for (const layer of this.#layers) for (const tile of layer.tiles.values()) this.#due(tile);
  }

  /** @param {Change[]} changes */
  change(changes) {
    for (const change of changes) this.#change(change);
  }

  /** What was drawn of these boxes is not right any more. @param {import("./geometry.js").Box[]} boxes */
  spoil(boxes) {
    for (const box of boxes) this.#change({ key: "", box, isOnTop: false });
  }

  /**
   * Draws the board as far as it is there, and asks for the rest.
   * @param {CanvasRenderingContext2D} context of a canvas as large as the view
   * @param {View} view
   */
  draw(context, view) {
    this.#frame += 1;
    const layer = this.#layerOf(view.scale * view.ratio);
    const { originLeft, originTop } = view;
    const [width, height] = [context.canvas.width, context.canvas.height];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, width, height);
    const places = placesIn(originLeft, originTop, width, height);
    const wanted = places.filter(({ name }) => layer.tiles.get(name)?.isDue ?? true);
    const missing = places.filter(({ name }) => !layer.tiles.get(name)?.image);
    if (missing.length) this.#under(context, layer, view, missing);
    for (const { name, left, top } of places) {
      const tile = layer.tiles.get(name);
      if (!tile?.image) continue;
      tile.usedAt = this.#frame;
      context.clearRect(left, top, SIDE, SIDE);
      context.drawImage(tile.image, left, top);
    }
    this.isWhole = wanted.length === 0;
    const rest = SETTLE_MS - (performance.now() - this.#zoomedAt);
    if (rest > 0 && this.#layers.length > 1) {
      clearTimeout(this.#timer);
      if (wanted.length) this.#timer = setTimeout(this.#changed, rest);
    } else if (wanted.length) this.#request(layer, wanted, width, height);
    else this.#below(view, width, height);
  }

  /** @param {number} scale @returns {Layer} */
  #layerOf(scale) {
    let layer = this.#layers.find((each) => each.scale === scale);
    if (!layer) {
      layer = { scale, tiles: new Map() };
      this.#zoomedAt = performance.now();
    }
    this.#layers = [layer, ...this.#layers.filter((each) => each !== layer)];
    // A zoom that was only passed through leaves nothing worth keeping.
    this.#layers = this.#layers.filter((each, at) => at === 0 || each.tiles.size > 0);
    for (const each of this.#layers.splice(LAYERS_MAX)) free(each.tiles.values());
    return layer;
  }

  /**
   * Where tiles are missing lies what another zoom left: the nearest that is there everywhere, or else all of them.
   * @param {CanvasRenderingContext2D} context @param {Layer} above @param {View} view @param {Place[]} missing
   */
  #under(context, above, { originLeft, originTop }, missing) {
    const { width, height } = context.canvas;
    const apart = (/** @type {Layer} */ { scale }) => Math.abs(Math.log(scale / above.scale));
    const others = this.#layers.filter((layer) => layer !== above).sort((one, other) => apart(other) - apart(one));
    const places = others.map((layer) => {
      const factor = above.scale / layer.scale;
      return placesIn(originLeft / factor, originTop / factor, width / factor, height / factor).map((place) => ({ ...place, factor, layer }));
    });
    const nearest = places.findLast((each) => each.every(({ layer, name }) => layer.tiles.get(name)?.image));
    context.save();
    context.beginPath();
    for (const { left, top } of missing) context.rect(left, top, SIDE, SIDE);
    context.clip();
    context.imageSmoothingQuality = "low";
    for (const { layer, name, left, top, factor } of nearest ?? places.flat()) {
      const image = layer.tiles.get(name)?.image;
      if (!image) continue;
      context.clearRect(left * factor, top * factor, SIDE * factor, SIDE * factor);
      context.drawImage(image, left * factor, top * factor, SIDE * factor, SIDE * factor);
    }
    context.restore();
  }

  /** Tiles of a layer from which one zooms out. @param {View} view @param {number} width @param {number} height */
  #below(view, width, height) {
    const scale = view.scale * view.ratio * BELOW;
    let layer = this.#layers.find((each) => each.scale === scale);
    if (!layer) {
      if (this.#layers.some((each) => each.scale < 0.7 * view.scale * view.ratio)) return;
      layer = { scale, tiles: new Map() };
      this.#layers.splice(1, 0, layer);
      for (const each of this.#layers.splice(LAYERS_MAX)) free(each.tiles.values());
    }
    const { tiles } = layer;
    const left = (view.originLeft - width / 2) * BELOW + width / 2;
    const top = (view.originTop - height / 2) * BELOW + height / 2;
    const wanted = placesIn(left, top, width, height).filter(({ name }) => tiles.get(name)?.isDue ?? true);
    this.#request(layer, wanted, width, height);
  }

  /** @param {Layer} layer @param {Place[]} places @param {number} width @param {number} height */
  #request(layer, places, width, height) {
    const far = (/** @type {{left: number, top: number}} */ place) => Math.hypot(place.left + (SIDE - width) / 2, place.top + (SIDE - height) / 2);
    for (const { name } of places.sort((one, other) => far(one) - far(other))) {
      if (this.#jobs >= JOBS_MAX) return;
      const tile = layer.tiles.get(name) ?? { image: null, isDue: true, job: 0, since: [], usedAt: this.#frame };
      layer.tiles.set(name, tile);
      if (!tile.job) this.#render(layer, name, tile);
    }
    this.#forget();
  }

  /** @param {Layer} layer @param {string} name @param {Tile} tile */
  #render(layer, name, tile) {
    const [column, row] = name.split(",").map(Number);
    const [x, y] = [Number(column) * SIDE, Number(row) * SIDE];
    tile.isDue = true;
    tile.since = [];
    this.#jobs += 1;
    const id = this.#renderer.draw({ scale: layer.scale, x, y, width: SIDE, height: SIDE }, (bitmap) => {
      this.#jobs -= 1;
      // Changed beneath meanwhile, it is shown all the same, and drawn again.
      tile.isDue = tile.job !== id;
      tile.job = 0;
      free([tile]);
      tile.image = bitmap;
      const since = tile.since.splice(0);
      for (const shown of since) this.#append(layer, name, tile, shown);
      this.#changed();
    });
    tile.job = id;
  }

  /** @param {Change} change */
  #change({ key, box, isOnTop }) {
    const shown = isOnTop ? this.#lookUp(key) : undefined;
    for (const layer of this.#layers) {
      const side = SIDE / layer.scale;
      for (const [name, tile] of layer.tiles) {
        const [column, row] = name.split(",").map(Number);
        const [x, y] = [Number(column) * side, Number(row) * side];
        if (box.x0 > x + side || box.x1 < x || box.y0 > y + side || box.y1 < y) continue;
        if (!shown) this.#due(tile);
        else {
          if (tile.job) tile.since.push(shown);
          if (tile.image) this.#append(layer, name, tile, shown);
        }
      }
    }
  }

  /** @param {Tile} tile */
  #due(tile) {
    tile.isDue = true;
    // A job that is on its way shows what was: its number tells.
    if (tile.job > 0) tile.job = -tile.job;
  }

  /** @param {Layer} layer @param {string} name @param {Tile} tile @param {Shown} shown a mark above all others */
  #append(layer, name, tile, shown) {
    const [column, row] = name.split(",").map(Number);
    if (tile.image instanceof ImageBitmap) {
      const canvas = new OffscreenCanvas(SIDE, SIDE);
      canvas.getContext("2d")?.drawImage(tile.image, 0, 0);
      tile.image.close();
      tile.image = canvas;
    }
    const context = tile.image?.getContext("2d");
    if (context) this.#painter.draw(context, shown, { scale: layer.scale, left: -Number(column) * SIDE, top: -Number(row) * SIDE });
  }

  /** Lets go of the tiles that were not seen for longest. */
  #forget() {
    const all = this.#layers.flatMap((layer) => [...layer.tiles].map(([name, tile]) => ({ layer, name, tile })));
    if (all.length <= TILES_MAX) return;
    all.sort((one, other) => one.tile.usedAt - other.tile.usedAt);
    for (const { layer, name, tile } of all.slice(0, all.length - TILES_MAX)) {
      if (tile.job) continue;
      free([tile]);
      layer.tiles.delete(name);
    }
  }
}

/** The tiles that a canvas shows. @param {number} originLeft @param {number} originTop @param {number} width @param {number} height */
function placesIn(originLeft, originTop, width, height) {
  /** @type {Place[]} */
  const places = [];
  for (let row = Math.floor(-originTop / SIDE); row * SIDE + originTop < height; row += 1) {
    for (let column = Math.floor(-originLeft / SIDE); column * SIDE + originLeft < width; column += 1) {
      places.push({ name: `${column},${row}`, left: originLeft + column * SIDE, top: originTop + row * SIDE });
    }
  }
  return places;
}

/** @param {Iterable<Tile>} tiles */
function free(tiles) {
  for (const tile of tiles) {
    if (tile.image instanceof ImageBitmap) tile.image.close();
    tile.image = null;
  }
}


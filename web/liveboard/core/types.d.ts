// The shapes of the board's data, for the type checker and for readers. Browsers do not load this file.

import type { Reader, Writer } from "./bytes.js";

/** How a part of an operation is written and read; `read` puts it into the operation, of which all before it is there. */
export interface Field {
  write: (writer: Writer, operation: any) => void;
  read: (reader: Reader, operation: any) => void;
}

/** `site` is sixteen lower-case hex digits, drawn anew for each load of a page; `seq` counts its operations from 1. */
export interface OpId {
  site: string;
  seq: number;
}

export interface Stamp extends OpId {
  lamport: number;
}

/** `color` is 0xRRGGBB, `size` a width or height in eighths of a pixel, `opacity` 1 to 100 %. */
export interface Style {
  color: number;
  size: number;
  opacity: number;
}

/** x, y, x, y, …; a pressure of 0 to 255 for each point, or null. */
export interface Stroke extends Style {
  kind: "stroke";
  tool: "pen" | "highlighter";
  points: ArrayLike<number>;
  pressures: ArrayLike<number> | null;
}

/** A `fill` of 0 is none, else the colour + 1. */
export interface Shape extends Style {
  kind: "shape";
  form: "line" | "arrow" | "rectangle" | "ellipse";
  fill: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** `width` 0 lets lines be as long as they are; a note's paper has the colour `fill` - 1. */
export interface Text extends Style {
  kind: "text";
  form: "text" | "note";
  fill: number;
  x: number;
  y: number;
  width: number;
  text: string;
}

/** By the SHA-256 of its file, which is kept beside the board. */
export interface Image {
  kind: "image";
  type: "image/png" | "image/jpeg" | "image/webp" | "image/gif";
  sha256: string;
  fileBytes: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Hides or shows operations of its own site: undo and redo. `seqs` ascend and precede it. */
export interface Visibility {
  kind: "visibility";
  visible: boolean;
  seqs: number[];
}

/** First point and number of points. */
export type Range = [start: number, length: number];

/** No ranges: all of it. Ranges ascend and do not touch. */
export interface Erased extends OpId {
  ranges: Range[];
}

/** Targets are sorted by site, then seq, here and below. */
export interface Erase {
  kind: "erase";
  targets: Erased[];
}

export interface Move {
  kind: "move";
  targets: OpId[];
  dx: number;
  dy: number;
}

export interface Restyle {
  kind: "restyle";
  targets: OpId[];
  color?: number;
  size?: number;
  opacity?: number;
  fill?: number;
}

export type Versions = [site: string, seq: number][];

/** Hides exactly the marks that its author saw. `seen` is sorted by site. */
export interface Clear {
  kind: "clear";
  seen: Versions;
}

/** What compaction leaves: the hash of what it was. */
export interface Pruned {
  kind: "pruned";
  hash: string;
}

export type Mark = Stroke | Shape | Text | Image;
export type Body = Mark | Visibility | Erase | Move | Restyle | Clear | Pruned;
export type Operation = Body & Stamp;

/** An operation with its bytes and their hash (of a pruned one: the hash of what it was). */
export interface Entry {
  operation: Operation;
  bytes: Uint8Array;
  leaf: Uint8Array;
}

/** A mark as it is to be drawn: its own fields, where it was moved, how it was restyled, which points are gone. */
export interface Shown {
  operation: Mark & Stamp;
  dx: number;
  dy: number;
  color: number;
  size: number;
  opacity: number;
  fill: number | null;
  removed: Range[];
}

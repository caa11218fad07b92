// The fields that operations are made of: each knows how it is written and how it is read.

import { checkInteger, CodecError, HASH_BYTES, INTEGER_MAX, SITE_BYTES } from "./bytes.js";
import { CLEAR_SITES_MAX, COORDINATE_MAX, POINTS_MAX, RANGES_MAX, TARGETS_MAX, TEXT_BYTES_MAX } from "./operations.js";

/** @typedef {import("./types.d.ts").Field} Field */
/** @typedef {import("./types.d.ts").Versions} Versions */

/** @param {string} name @param {number} low @param {number} high @returns {Field} */
export const integer = (name, low, high) => ({
  write: (writer, operation) => writer.varint(operation[name], low, high, name),
  read: (reader, operation) => (operation[name] = reader.varint(low, high, name)),
});

/** @param {string} name @param {number} most either way @returns {Field} */
export const place = (name, most) => ({
  write: (writer, operation) => writer.signed(operation[name], -most, most, name),
  read: (reader, operation) => (operation[name] = reader.signed(-most, most, name)),
});

/** @param {string} name @param {string[]} words by their number @returns {Field} */
export const oneOf = (name, words) => ({
  write: (writer, operation) => writer.varint(words.indexOf(operation[name]), 1, words.length - 1, name),
  read: (reader, operation) => (operation[name] = words[reader.varint(1, words.length - 1, name)]),
});

/** @type {Field} */
export const visible = {
  write: (writer, operation) => writer.byte(operation.visible ? 1 : 0),
  read: (reader, operation) => (operation.visible = reader.varint(0, 1, "visible") === 1),
};

/** @param {string} name @returns {Field} */
export const hash = (name) => ({
  write: (writer, operation) => writer.hex(operation[name], HASH_BYTES),
  read: (reader, operation) => (operation[name] = reader.hex(HASH_BYTES)),
});

/** @type {Field} */
export const text = {
  write: (writer, operation) => writer.text(operation.text, TEXT_BYTES_MAX),
  read: (reader, operation) => (operation.text = reader.text(TEXT_BYTES_MAX)),
};

/** @type {Field} */
export const points = {
  write(writer, { points, pressures }) {
    const count = points.length / 2;
    if (pressures && pressures.length !== count) throw new CodecError("not a pressure for each point");
    writer.byte(pressures ? 1 : 0);
    writer.varint(count, 1, POINTS_MAX);
    let [x, y, dx, dy, pressure] = [0, 0, 0, 0, 0];
    for (let at = 0; at < count; at += 1) {
      const stepX = coordinate(points[2 * at]) - x;
      const stepY = coordinate(points[2 * at + 1]) - y;
      writer.signed(stepX - dx);
      writer.signed(stepY - dy);
      x += stepX;
      y += stepY;
      // The first point is a place, not a movement.
      if (at > 0) [dx, dy] = [stepX, stepY];
      if (!pressures) continue;
      writer.signed(checkInteger(pressures[at], 0, 255, "a pressure") - pressure);
      pressure = pressures[at];
    }
  },
  read(reader, operation) {
    const hasPressures = reader.varint(0, 1);
    const count = reader.varint(1, POINTS_MAX);
    const points = new Int32Array(2 * count);
    const pressures = hasPressures ? new Uint8Array(count) : null;
    let [x, y, dx, dy, pressure] = [0, 0, 0, 0, 0];
    for (let at = 0; at < count; at += 1) {
      const stepX = dx + reader.signed();
      const stepY = dy + reader.signed();
      x = points[2 * at] = coordinate(x + stepX);
      y = points[2 * at + 1] = coordinate(y + stepY);
      if (at > 0) [dx, dy] = [stepX, stepY];
      if (pressures) pressure = pressures[at] = checkInteger(pressure + reader.signed(), 0, 255, "a pressure");
    }
    operation.points = points;
    operation.pressures = pressures;
  },
};

/** @param {number} value */
const coordinate = (value) => checkInteger(value, -COORDINATE_MAX, COORDINATE_MAX, "a point");

/** @type {Field} */
export const seqs = {
  write: (writer, operation) => writeSeqs(writer, operation.seqs, operation.seq - 1),
  read: (reader, operation) => (operation.seqs = readSeqs(reader, TARGETS_MAX, operation.seq - 1)),
};

/** @type {Field} */
export const targets = {
  write(writer, operation) {
    /** @type {Map<string, number[]>} */
    const bySite = new Map();
    for (const { site, seq } of operation.targets) bySite.set(site, [...(bySite.get(site) ?? []), seq]);
    writer.varint(bySite.size, 1, TARGETS_MAX);
    let before = "";
    for (const [site, seqs] of bySite) {
      before = ascending(before, site);
      writer.hex(site, SITE_BYTES);
      writeSeqs(writer, seqs);
    }
  },
  read(reader, operation) {
    operation.targets = [];
    let site = "";
    for (let left = reader.varint(1, TARGETS_MAX); left > 0; left -= 1) {
      site = ascending(site, reader.hex(SITE_BYTES));
      const seqs = readSeqs(reader, TARGETS_MAX - operation.targets.length);
      for (const seq of seqs) operation.targets.push({ site, seq });
    }
  },
};

/** What an erasure removes of each target. @type {Field} */
export const erasing = {
  write(writer, operation) {
    for (const { ranges } of operation.targets) {
      writer.varint(ranges.length, 0, RANGES_MAX);
      let end = 0;
      for (const [start, length] of ranges) {
        writer.varint(start - end, end ? 1 : 0, POINTS_MAX);
        writer.varint(length, 1, POINTS_MAX - start);
        end = start + length;
      }
    }
  },
  read(reader, operation) {
    for (const target of operation.targets) {
      let end = 0;
      target.ranges = Array.from({ length: reader.varint(0, RANGES_MAX) }, () => {
        // Two ranges without a point between them are one.
        const start = end + reader.varint(end ? 1 : 0, POINTS_MAX);
        const length = reader.varint(1, POINTS_MAX - start);
        end = start + length;
        return [start, length];
      });
    }
  },
};

const RESTYLED = /** @type {const} */ (["color", "size", "opacity", "fill"]);
const LEAST = [0, 1, 1, 0];
const MOST = [0xffffff, 65_535, 100, 0x1000000];

/** @type {Field} */
export const restyling = {
  write(writer, operation) {
    writer.varint(
      RESTYLED.reduce((bits, name, at) => bits + (operation[name] === undefined ? 0 : 1 << at), 0),
      1,
    );
    RESTYLED.forEach((name, at) => {
      if (operation[name] !== undefined) writer.varint(operation[name], LEAST[at], MOST[at], name);
    });
  },
  read(reader, operation) {
    const bits = reader.varint(1, 15);
    RESTYLED.forEach((name, at) => {
      if (bits & (1 << at)) operation[name] = reader.varint(LEAST[at], MOST[at], name);
    });
  },
};

/** The version vector that a clearing's author saw. @type {Field} */
export const clearing = {
  write: (writer, operation) => writeVersions(writer, operation.seen, CLEAR_SITES_MAX),
  read: (reader, operation) => (operation.seen = readVersions(reader, CLEAR_SITES_MAX)),
};

/**
 * Pairs of site and seq, the sites ascending.
 * @param {import("./bytes.js").Writer} writer
 * @param {Versions} versions
 * @param {number} sitesMax
 */
export function writeVersions(writer, versions, sitesMax) {
  writer.varint(versions.length, 0, sitesMax);
  let before = "";
  for (const [site, seq] of versions) {
    before = ascending(before, site);
    writer.hex(site, SITE_BYTES);
    writer.varint(seq, 1);
  }
}

/** @param {import("./bytes.js").Reader} reader @param {number} sitesMax @returns {Versions} */
export function readVersions(reader, sitesMax) {
  let site = "";
  return Array.from({ length: reader.varint(0, sitesMax) }, () => {
    site = ascending(site, reader.hex(SITE_BYTES));
    return [site, reader.varint(1, INTEGER_MAX, "seq")];
  });
}

/** @param {import("./bytes.js").Writer} writer @param {number[]} seqs @param {number} [seqMax] */
function writeSeqs(writer, seqs, seqMax = INTEGER_MAX) {
  writer.varint(seqs.length, 1, TARGETS_MAX);
  let before = 0;
  for (const seq of seqs) {
    writer.varint(checkInteger(seq, before + 1, seqMax, "a target") - before);
    before = seq;
  }
}

/** @param {import("./bytes.js").Reader} reader @param {number} countMax @param {number} [seqMax] */
function readSeqs(reader, countMax, seqMax = INTEGER_MAX) {
  let seq = 0;
  return Array.from({ length: reader.varint(1, countMax) }, () => {
    return (seq += reader.varint(1, seqMax - seq));
  });
}

/** @param {string} before @param {string} site */
function ascending(before, site) {
  if (site <= before) throw new CodecError(`site ${site} does not come after ${before}`);
  return site;
}

// Reads boards from stdin, one a line as JSON [hex, hex, …] in the order of arrival, and writes what each comes to.

import { createInterface } from "node:readline";

import { fromHex } from "../../../web/liveboard/core/bytes.js";
import { encodeOperation } from "../../../web/liveboard/core/codec.js";
import { entryOf, OperationSet } from "../../../web/liveboard/core/opset.js";
import { Picture } from "../../../web/liveboard/core/picture.js";

for await (const line of createInterface({ input: process.stdin })) {
  const set = new OperationSet();
  const picture = new Picture();
  for (const bytes of JSON.parse(line)) {
    let entry;
    try {
      entry = entryOf(fromHex(bytes));
    } catch (error) {
      if (error.name !== "CodecError") throw error;
      continue;
    }
    // What was read is written again as it was.
    entry = entryOf(encodeOperation(entry.operation));
    set.add(entry);
    picture.add(entry.operation);
  }
  console.log(JSON.stringify([set.size, set.digest, set.root, picture.digest()]));
}

// What a page needs of an OpenAPI 3.1 document: operations in groups, references resolved, an example of a body. Pure.

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEPTH_MAX = 6;

/**
 * @typedef {object} ApiOperation
 * @property {string} id
 * @property {string} method in capitals
 * @property {string} path
 * @property {string} summary
 * @property {any[]} parameters
 * @property {any} body schema of the JSON body, or null
 * @property {[string, any][]} responses by status
 * @property {boolean} isAdmin
 */

/**
 * The operations by their first tag, in the document's order.
 * @param {any} document
 * @returns {Map<string, ApiOperation[]>}
 */
export function groups(document) {
  /** @type {Map<string, ApiOperation[]>} */
  const found = new Map();
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of METHODS) {
      const operation = /** @type {any} */ (item)[method];
      if (operation === undefined) continue;
      const group = operation.tags?.[0] ?? "host";
      const listed = found.get(group) ?? [];
      listed.push({
        id: operation.operationId ?? `${method}${path.replaceAll(/[^A-Za-z0-9]+/g, "_")}`,
        method: method.toUpperCase(),
        path,
        summary: operation.summary ?? "",
        parameters: operation.parameters ?? [],
        body: operation.requestBody?.content?.["application/json"]?.schema ?? null,
        responses: Object.entries(operation.responses ?? {}),
        isAdmin: (operation.security ?? []).some((/** @type {any} */ each) => "admin" in each),
      });
      found.set(group, listed);
    }
  }
  return found;
}

/**
 * A schema with its reference followed.
 * @param {any} document
 * @param {any} schema
 * @returns {any} {} when the reference leads nowhere
 */
export function resolve(document, schema) {
  let current = schema;
  for (let hops = 0; typeof current?.$ref === "string" && hops < DEPTH_MAX; hops += 1) {
    current = current.$ref
      .replace(/^#\//, "")
      .split("/")
      .reduce((/** @type {any} */ at, /** @type {string} */ step) => at?.[step], document);
  }
  return current ?? {};
}

/**
 * A value that the schema would let pass, small and plain.
 * @param {any} document
 * @param {any} schema
 * @param {number} [depth]
 * @returns {any}
 */
export function example(document, schema, depth = 0) {
  const known = resolve(document, schema);
  if (known.default !== undefined) return known.default;
  if (Array.isArray(known.examples) && known.examples.length > 0) return known.examples[0];
  if (known.const !== undefined) return known.const;
  if (Array.isArray(known.enum)) return known.enum[0];
  const choices = known.anyOf ?? known.oneOf;
  if (Array.isArray(choices)) {
    return choices.some((/** @type {any} */ each) => each.type === "null") ? null : example(document, choices[0], depth);
  }
  if (depth >= DEPTH_MAX) return null;
  switch (known.type) {
    case "object":
      return Object.fromEntries(
        Object.entries(known.properties ?? {}).map(([name, part]) => [name, example(document, part, depth + 1)]),
      );
    case "array":
      return known.items === undefined ? [] : [example(document, known.items, depth + 1)];
    case "integer":
    case "number":
      return known.minimum ?? (known.exclusiveMinimum !== undefined ? known.exclusiveMinimum + 1 : 0);
    case "boolean":
      return false;
    case "null":
      return null;
    default:
      return known.type === "string" ? "" : {};
  }
}

/**
 * A schema's type in few words: "integer, 1 to 1000", "list of string".
 * @param {any} document
 * @param {any} schema
 * @returns {string}
 */
export function typeWords(document, schema) {
  const known = resolve(document, schema);
  const choices = known.anyOf ?? known.oneOf;
  if (Array.isArray(choices)) return choices.map((/** @type {any} */ each) => typeWords(document, each)).join(" or ");
  if (Array.isArray(known.enum)) return known.enum.map((/** @type {unknown} */ each) => JSON.stringify(each)).join(" or ");
  if (known.const !== undefined) return JSON.stringify(known.const);
  if (known.type === "array") return `list of ${typeWords(document, known.items ?? {})}`;
  const words = [Array.isArray(known.type) ? known.type.join(" or ") : (known.type ?? "any")];
  const [least, most] = [known.minimum ?? known.minLength, known.maximum ?? known.maxLength];
  if (least !== undefined && most !== undefined) words.push(`${least} to ${most}`);
  else if (least !== undefined) words.push(`at least ${least}`);
  else if (most !== undefined) words.push(`at most ${most}`);
  return words.join(", ");
}

/**
 * An operation's address with its parameters put in.
 * @param {ApiOperation} operation
 * @param {Record<string, string>} values by parameter name; empty ones are left out of the query
 * @returns {string}
 */
export function address(operation, values) {
  const query = new URLSearchParams();
  let path = operation.path;
  for (const parameter of operation.parameters) {
    const value = values[parameter.name] ?? "";
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (parameter.in === "query" && value !== "") query.set(parameter.name, value);
  }
  const search = query.toString();
  return search === "" ? path : `${path}?${search}`;
}

// JSON whose numbers keep what JavaScript's have no room for: whole numbers beyond 2**53 become BigInt.

/** The value that a text says; in a browser that does not show a number's own text, large numbers are rounded. */
export function parseExactly(text) {
  return JSON.parse(text, (_key, value, context) => {
    const isLarge = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isLarge && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value;
  });
}

/** The text that says a value, a space after each comma. */
export function writeExactly(value) {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(writeExactly).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}: ${writeExactly(member)}`);
    return `{${members.join(", ")}}`;
  }
  return Object.is(value, -0) ? "-0.0" : JSON.stringify(value);
}

// Says as JSON what the AsyncAPI parser finds wrong in a document, and which of the messages on stdin its schemas refuse.
// Usage: node check.cjs FOLDER_OF_MODULES DOCUMENT < [["status", {…}], …]
const fs = require("node:fs");
const path = require("node:path");

const [modules, file] = process.argv.slice(2).map((each) => path.resolve(each));
const from = (name) => require(require.resolve(name, { paths: [modules] }));
const { Parser, fromFile } = from("@asyncapi/parser");
const Ajv = from("ajv").default;

async function main() {
  const { document, diagnostics } = await fromFile(new Parser(), file).parse();
  const found = diagnostics.map(({ severity, message, path: at }) => ({ severity, message, at: at.join(".") }));
  const ajv = new Ajv({ strict: false });
  from("ajv-formats").default(ajv);
  const refused = [];
  for (const [name, message] of JSON.parse(fs.readFileSync(0, "utf8"))) {
    const schema = JSON.parse(fs.readFileSync(path.join(path.dirname(file), "schema", `${name}.json`), "utf8"));
    const fits = ajv.compile(schema);
    if (!fits(message)) refused.push({ name, message, why: ajv.errorsText(fits.errors) });
  }
  const channels = document ? document.channels().all().map((each) => each.address()) : [];
  const operations = document ? document.operations().all().map((each) => [each.id(), each.action()]) : [];
  console.log(JSON.stringify({ found, refused, channels, operations }));
}

main();

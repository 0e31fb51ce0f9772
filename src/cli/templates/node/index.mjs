export async function handler(event, context) {
  const name = event?.name ?? "world";
  console.log(`greeting ${name}`); // the log: magpie logs {{name}}
  return { message: `Hello, ${name}!` };
}

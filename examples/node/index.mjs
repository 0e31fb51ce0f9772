// Greets whom the event names: magpie invoke node -d '{"name":"magpie"}'

export async function handler(event, context) {
  const name = event?.name ?? 'world';
  console.log(`greeting ${name}`); // a line of the function's log
  return { message: `Hello, ${name}!` };
}

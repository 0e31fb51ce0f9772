export async function handler(event, context) {
  return { message: `Hello, ${event?.name ?? "world"}!` };
}

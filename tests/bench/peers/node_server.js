// What one writes without a platform: an http server around the handler. node_server.js SOCKET
const http = require('http');
const { handle } = require('../functions/handler.js');

http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const answer = await handle({ body: Buffer.concat(chunks).toString() }, {});
    response.statusCode = answer.statusCode;
    for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
    response.end(answer.body); // whole, so that it goes with a Content-Length
  });
}).listen({ path: process.argv[2], backlog: 4096 });
